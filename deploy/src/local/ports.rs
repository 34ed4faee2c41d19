//! Chooses the port of a service, and finds the program that uses a port that is taken.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Result;

use crate::terminal::Problem;

/// The number of ports above the wanted one that are tried.
const SEARCHED: u16 = 200;

/// The port that a service gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortChoice {
    /// The port that the service uses.
    pub(crate) port: u16,
    /// The wanted port if it was taken, with the program that has it if that is visible.
    pub(crate) taken: Option<(u16, Option<String>)>,
}

impl PortChoice {
    /// The sentence for the person about a port that was taken; `None` if it was free.
    #[must_use]
    pub(crate) fn notice(&self, service: &str) -> Option<String> {
        let (wanted, owner) = self.taken.as_ref()?;
        let by = owner.as_ref().map_or(String::new(), |owner| format!(" by {owner}"));
        Some(format!("port {wanted} is taken{by}; {service} uses {} instead", self.port))
    }
}

/// Chooses the wanted port, or the next free one above it. 0 stands for any free port.
pub(crate) fn choose(wanted: u16) -> Result<PortChoice> {
    if wanted == 0 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        return Ok(PortChoice { port, taken: None });
    }

    let last = wanted.saturating_add(SEARCHED);
    let port = (wanted..=last).find(|port| is_free(*port)).ok_or_else(|| {
        Problem::new(format!("none of the ports {wanted} to {last} is free"))
            .next("choose another with --postgres-port or --localstack-port")
    })?;

    let taken = (port != wanted).then(|| (wanted, owner_of(wanted)));
    Ok(PortChoice { port, taken })
}

/// Whether the port is free on every interface. A server that listens on 0.0.0.0 would receive our
/// connections.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

/// The program that listens on a port, as `name (pid 7)`, if the system lets us see it.
#[cfg(target_os = "linux")]
fn owner_of(port: u16) -> Option<String> {
    let inode =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|path| listening_inode(path, port))?;
    let wanted = format!("socket:[{inode}]");
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };

        let Ok(files) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        let holds = files.flatten().any(|file| {
            std::fs::read_link(file.path())
                .is_ok_and(|target| target.as_os_str() == wanted.as_str())
        });

        if holds {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }

    None
}

#[cfg(not(target_os = "linux"))]
fn owner_of(_port: u16) -> Option<String> {
    None
}

/// The inode of the socket that listens on `port`, from a table such as `/proc/net/tcp`.
#[cfg(target_os = "linux")]
fn listening_inode(path: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let suffix = format!(":{port:04X}");
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let matches = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == LISTEN;
        matches.then(|| fields.get(9).map(ToString::to_string))?
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_free_port_is_taken_as_wanted() {
        let free = choose(0).unwrap().port;
        assert_eq!(choose(free).unwrap(), PortChoice { port: free, taken: None });
    }

    #[test]
    fn a_taken_port_names_its_owner_and_gives_the_next_one() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let wanted = listener.local_addr().unwrap().port();
        let choice = choose(wanted).unwrap();
        assert!(choice.port > wanted);
        let notice = choice.notice("PostgreSQL").unwrap();
        assert!(notice.starts_with(&format!("port {wanted} is taken")), "{notice}");
        if cfg!(target_os = "linux") {
            assert!(notice.contains(&format!("(pid {})", std::process::id())), "{notice}");
        }
    }

    #[test]
    fn a_server_on_every_interface_counts_as_taken() {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let wanted = listener.local_addr().unwrap().port();
        assert_ne!(choose(wanted).unwrap().port, wanted);
    }
}
