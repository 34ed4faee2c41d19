//! A bar of block characters that grows to the left for what was taken and to the right for what was
//! given.

/// The bar of a value, `width` characters to each side of its axis. `widest` is the largest absolute
/// value among the bars that stand together.
#[must_use]
pub fn diverging_bar(value: i64, widest: u64, width: usize) -> String {
    // In halves of a character, rounded, so that the largest value fills its side.
    let halves = 2 * width as u64;
    let length = match widest {
        0 => 0,
        widest => ((value.unsigned_abs() * halves + widest / 2) / widest).min(halves) as usize,
    };
    let (full, half) = (length / 2, length % 2);
    let blocks = "█".repeat(full);
    if value < 0 {
        let half = "▐".repeat(half);
        format!("{}{half}{blocks}│", " ".repeat(width - full - length % 2))
    } else {
        format!("{}│{blocks}{}", " ".repeat(width), "▌".repeat(half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_grows_to_its_side_and_the_largest_fills_it() {
        let cases = [
            (0, "    │"),
            (100, "    │████"),
            (-100, "████│"),
            (50, "    │██"),
            (-38, "  ▐█│"),
            (12, "    │▌"),
        ];
        for (value, expected) in cases {
            assert_eq!(diverging_bar(value, 100, 4), expected, "{value}");
        }
        assert_eq!(diverging_bar(0, 0, 4), "    │");
    }
}
