//! Turns the progress that cargo prints into a short text for a person.

use std::time::Duration;

use crate::terminal::duration;

/// Reads the progress of cargo, and estimates the remaining time from the pace so far.
#[derive(Debug, Default)]
pub(crate) struct CompileProgress {
    /// The number of crates done at the first line of progress, and the time of that line.
    start: Option<(u64, Duration)>,
}

impl CompileProgress {
    /// The text to show for a line that cargo printed `elapsed` after the start of the build.
    pub(crate) fn describe(&mut self, line: &str, elapsed: Duration) -> String {
        if line.contains("waiting for file lock") {
            return "waiting for another build".to_owned();
        }

        let Some((done, total)) = crates(line) else { return line.to_owned() };
        let (first, since) = *self.start.get_or_insert((done, elapsed));
        let compiled = done.saturating_sub(first);
        let mut text = format!("compiling {done} of {total} crates");
        if compiled >= ENOUGH_CRATES {
            let per_crate = elapsed.saturating_sub(since).as_secs_f64() / compiled as f64;
            let left = Duration::from_secs_f64(per_crate * total.saturating_sub(done) as f64);
            text.push_str(&format!(", about {} left", roughly(left)));
        }

        text
    }
}

/// The number of crates that have to be compiled before the estimate is steady enough to show.
const ENOUGH_CRATES: u64 = 5;

/// The time in whole minutes above two minutes, otherwise in steps of ten seconds.
fn roughly(left: Duration) -> String {
    match left.as_secs() {
        0..10 => "10 s".to_owned(),
        10..120 => duration(Duration::from_secs(left.as_secs().div_ceil(10) * 10)),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

/// The crates that are done, and all crates: `(123, 487)` for `Building [===>    ] 123/487: serde`.
fn crates(line: &str) -> Option<(u64, u64)> {
    let (_, counts) = line.trim().strip_prefix("Building [")?.split_once("] ")?;
    let (done, total) = counts.split([':', ' ']).next()?.split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_how_long_is_left_once_a_pace_is_known() {
        let mut progress = CompileProgress::default();
        let mut at =
            |seconds: u64, line: &str| progress.describe(line, Duration::from_secs(seconds));

        assert_eq!(at(0, "   Building [>   ] 87/487: serde"), "compiling 87 of 487 crates");
        assert_eq!(
            at(60, "Building [===>   ] 187/487: tokio, http(build)"),
            "compiling 187 of 487 crates, about 3 min left"
        );

        assert_eq!(
            at(235, "Building [======>] 480/487"),
            "compiling 480 of 487 crates, about 10 s left"
        );
    }

    #[test]
    fn a_wait_for_another_build_is_said_and_other_lines_stay_as_they_are() {
        let mut progress = CompileProgress::default();
        let mut said = |line: &str| progress.describe(line, Duration::ZERO);
        assert_eq!(
            said("Blocking waiting for file lock on build directory"),
            "waiting for another build"
        );

        assert_eq!(said("Compiling serde v1.0"), "Compiling serde v1.0");
    }
}
