//! Formats numbers, durations and tables for people.

use std::io::IsTerminal as _;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};

/// An empty table with this header, as wide as the terminal, or 120 columns in a file.
#[must_use]
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    if !std::io::stdout().is_terminal() {
        table.set_width(120);
    }

    table
}

/// A duration as text: `0.8 s`, `12 s` or `3 min 05 s`.
#[must_use]
pub fn duration(took: Duration) -> String {
    let seconds = took.as_secs_f64();
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 100.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{} min {:02} s", took.as_secs() / 60, took.as_secs() % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_speech() {
        let shown =
            [0.04, 9.96, 61.0, 185.0].map(|seconds| duration(Duration::from_secs_f64(seconds)));
        assert_eq!(shown, ["0.0 s", "10.0 s", "61 s", "3 min 05 s"]);
    }
}
