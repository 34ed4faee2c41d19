//! Starts and ends the processes of services, which go on after the command that started them.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// A process, identified by its number and its start time. The system reuses numbers, and a process
/// that got the number later must not be killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessIdentity {
    /// The number of the process (its pid).
    pub pid: u32,
    /// The start time, in the form in which this system gives it.
    pub(crate) started: String,
}

impl ProcessIdentity {
    /// The identity of a running process; `None` when no process has this number.
    #[must_use]
    pub(crate) fn of(pid: u32) -> Option<Self> {
        start_time(pid).map(|started| Self { pid, started })
    }

    /// Whether this process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        start_time(self.pid).as_deref() == Some(self.started.as_str())
    }

    /// Ends the process and its group: with SIGTERM, and after `patience` with SIGKILL. Returns
    /// whether the process has ended.
    #[must_use]
    pub(crate) fn terminate(&self, patience: Duration) -> bool {
        for (signal, wait) in [("-TERM", patience), ("-KILL", Duration::from_secs(5))] {
            if !self.is_alive() {
                return true;
            }

            // Each service has a process group of its own, so the signal also ends the processes
            // that the service started.
            let group = format!("-{}", self.pid);
            if !signal_sent(signal, &group) {
                signal_sent(signal, &self.pid.to_string());
            }

            let deadline = Instant::now() + wait;
            while self.is_alive() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(50));
            }
        }

        !self.is_alive()
    }
}

/// Sends a signal to a process, or to a group when `target` begins with a minus sign. Returns
/// whether it was sent.
fn signal_sent(signal: &str, target: &str) -> bool {
    Command::new("kill")
        .args([signal, "--", target])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The start time in clock ticks since boot: the 22nd field of `/proc/<pid>/stat`. `None` when the
/// process does not run; a zombie counts as ended.
#[cfg(target_os = "linux")]
fn start_time(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything, parentheses too.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }

    fields.nth(18).map(str::to_owned)
}

/// The start time as `ps` prints it. `None` when the process does not run; a zombie counts as
/// ended.
#[cfg(not(target_os = "linux"))]
fn start_time(pid: u32) -> Option<String> {
    let output =
        Command::new("ps").args(["-o", "stat=,lstart=", "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let (state, started) = text.split_once(' ')?;
    (!state.starts_with('Z')).then(|| started.trim().to_owned())
}

/// Starts a service that goes on after the command has ended. It has a process group of its own,
/// and its output is appended to the log.
pub(crate) fn spawn_detached(command: &mut Command, log: &Path) -> Result<Child> {
    let open = || OpenOptions::new().create(true).append(true).open(log);
    let output = open().with_context(|| format!("cannot write the log {}", log.display()))?;
    let errors =
        output.try_clone().with_context(|| format!("cannot write the log {}", log.display()))?;
    command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))
}

/// The last lines of a log, for an error message.
#[must_use]
pub(crate) fn log_tail(log: &Path, lines: usize) -> String {
    // A log can be large, so only its end is read.
    const TAIL_BYTES: u64 = 64 * 1024;
    let read = || -> std::io::Result<String> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let mut file = std::fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };

    let text = read().unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn a_process_is_known_by_number_and_start_time() {
        let own = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        let recycled = ProcessIdentity { started: "0".to_owned(), ..own };
        assert!(!recycled.is_alive());
        assert!(
            recycled.terminate(Duration::ZERO),
            "what is not ours any more counts as gone, and is not killed"
        );
    }

    #[test]
    fn a_service_is_ended_with_the_processes_it_started() {
        let dir = TempDir::new("detached");
        let log = dir.path().join("log");
        let mut child =
            spawn_detached(Command::new("sh").args(["-c", "sleep 60 & echo $!; wait"]), &log)
                .unwrap();
        let service = ProcessIdentity::of(child.id()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while log_tail(&log, 1).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }

        let grandchild = ProcessIdentity::of(log_tail(&log, 1).trim().parse().unwrap()).unwrap();
        assert!(service.terminate(Duration::from_secs(5)));
        child.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while grandchild.is_alive() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }

        assert!(!grandchild.is_alive());
    }
}
