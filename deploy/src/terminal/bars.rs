//! Horizontal bars of block characters.

/// The widest bar, in characters.
const WIDTH: f64 = 32.0;
/// A longer label is cut.
const MAX_LABEL: usize = 34;
/// An eighth of a character to seven eighths.
const PARTS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// A bar with its label and its number.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What it stands for.
    pub label: String,
    /// Its length; the longest bar has the largest value.
    pub value: f64,
    /// The number as text.
    pub shown: String,
}

/// The bars as lines of text, one below the other, with the numbers behind them.
#[must_use]
pub fn bars(bars: &[Bar]) -> String {
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let labels: Vec<String> = bars.iter().map(|bar| cut(&bar.label)).collect();
    let widest = labels.iter().map(|label| label.chars().count()).max().unwrap_or_default();
    let line = |(bar, label): (&Bar, &String)| {
        let length = if most > 0.0 { bar.value.max(0.0) / most * WIDTH } else { 0.0 };
        format!(" {label:<widest$}  {} {}", blocks(length), bar.shown)
    };
    bars.iter().zip(&labels).map(line).collect::<Vec<_>>().join("\n")
}

/// A single bar whose length is `share` of `width` characters, to an eighth of a character.
#[must_use]
pub fn bar(share: f64, width: u32) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    blocks(share * f64::from(width))
}

/// A bar of this length. One that is not zero has at least an eighth of a character.
fn blocks(length: f64) -> String {
    let least = if length > 0.0 { 1 } else { 0 };
    let eighths = ((length * 8.0).round() as usize).max(least);
    let mut text = "█".repeat(eighths / 8);
    text.extend((eighths % 8).checked_sub(1).and_then(|part| PARTS.get(part)));
    text
}

fn cut(label: &str) -> String {
    if label.chars().count() <= MAX_LABEL {
        return label.to_owned();
    }

    label.chars().take(MAX_LABEL - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        let cases = [
            (0.0, ""),
            (1.0, "████"),
            (0.5, "██"),
            (0.53125, "██▏"),
            (0.001, "▏"),
            (7.0, "████"),
            (-1.0, ""),
            (f64::NAN, ""),
        ];
        for (share, expected) in cases {
            assert_eq!(bar(share, 4), expected, "{share}");
        }
    }

    #[test]
    fn the_longest_bar_is_that_of_the_largest_value() {
        let bar = |label: &str, value: f64| Bar {
            label: label.to_owned(),
            value,
            shown: format!("{value}"),
        };
        let text = bars(&[bar("a", 32.0), bar("bcd", 1.5), bar("none", 0.0), bar("few", 0.001)]);
        let expected =
            format!(" a     {} 32\n bcd   █▌ 1.5\n none   0\n few   ▏ 0.001", "█".repeat(32));
        assert_eq!(text, expected);
        assert_eq!(bars(&[bar(&"x".repeat(40), 0.0)]).matches('x').count(), MAX_LABEL - 1);
    }
}
