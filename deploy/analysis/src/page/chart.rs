//! The figures of the pages, as SVG. A table beside each one has its numbers.

use maud::{Markup, html};

use crate::outcomes::calibration::CalibrationBand;

/// The size of a figure, and the room for its axes.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 40.0;
/// The steps of an axis.
const STEPS: u32 = 4;

/// A point with its label.
pub(super) struct Dot {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) label: String,
}

/// Where numbers are on a figure. Both axes begin at 0.
struct Scale {
    most_x: f64,
    most_y: f64,
}

impl Scale {
    /// A scale for numbers up to these.
    fn up_to(most_x: f64, most_y: f64) -> Self {
        Self { most_x: round_up(most_x), most_y: round_up(most_y) }
    }

    fn x(&self, x: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * x / self.most_x
    }

    fn y(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / self.most_y
    }

    fn axes(&self, x_name: &str, y_name: &str, number: fn(f64) -> String) -> Markup {
        let steps =
            |most: f64| (0..=STEPS).map(move |step| most * f64::from(step) / f64::from(STEPS));
        html! {
            @for y in steps(self.most_y) {
                line.axis x1=(LEFT) x2=(WIDTH - RIGHT) y1=(self.y(y)) y2=(self.y(y)) {}
                text x=(LEFT - 6.0) y=(self.y(y) + 4.0) text-anchor="end" { (number(y)) }
            }
            @for x in steps(self.most_x) {
                text x=(self.x(x)) y=(HEIGHT - BOTTOM + 16.0) text-anchor="middle" { (number(x)) }
            }
            text x=(WIDTH - RIGHT) y=(HEIGHT - 6.0) text-anchor="end" { (x_name) }
            text x=(LEFT) y=(TOP - 5.0) { (y_name) }
        }
    }
}

/// The next number of the form 1, 2, 2.5, 4, 5, 6 or 8 times a power of ten, so that an axis has
/// round steps.
fn round_up(most: f64) -> f64 {
    if !(most.is_finite() && most > 0.0) {
        return 1.0;
    }

    let power = 10_f64.powf(most.log10().floor());
    let leading = [1.0, 2.0, 2.5, 4.0, 5.0, 6.0, 8.0, 10.0].into_iter();
    leading.map(|digit| digit * power).find(|round| *round >= most).unwrap_or(most)
}

fn short(number: f64) -> String {
    let scaled = |unit: f64, name: &str| {
        let text = format!("{:.3}", number / unit);
        format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match number {
        _ if number >= 1e9 => scaled(1e9, " bn"),
        _ if number >= 1e6 => scaled(1e6, " m"),
        _ if number >= 1e3 => scaled(1e3, " k"),
        _ => scaled(1.0, ""),
    }
}

fn per_cent(share: f64) -> String {
    let text = format!("{:.1}", 100.0 * share);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Money against approvals: each policy of a grid is a point.
pub(super) fn frontier(dots: &[Dot], is_line: bool) -> Markup {
    let most = |number: fn(&Dot) -> f64| dots.iter().map(number).fold(0.0, f64::max);
    let scale = Scale::up_to(most(|dot| dot.x), most(|dot| dot.y));
    let place = |dot: &Dot| format!("{:.1},{:.1}", scale.x(dot.x), scale.y(dot.y));
    let line: Vec<String> = dots.iter().map(place).collect();
    html! {
        figure {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby="frontier" {
                title id="frontier" { "Sum of the raises against the number of approvals, by policy" }
                (scale.axes("approved", "limits rise by", short))
                @if is_line { polyline.line points=(line.join(" ")) {} }
                @for dot in dots {
                    circle.dot cx=(scale.x(dot.x)) cy=(scale.y(dot.y)) r="4" {}
                    text x=(scale.x(dot.x) + 7.0) y=(scale.y(dot.y) + 12.0) { (dot.label) }
                }
            }
        }
    }
}

/// Observed against predicted bad rates, with their intervals.
pub(super) fn calibration(bands: &[CalibrationBand]) -> Markup {
    let most = |number: fn(&CalibrationBand) -> f64| bands.iter().map(number).fold(0.0, f64::max);
    let most = most(|band| band.predicted).max(most(|band| band.observed.high)).min(1.0);
    let scale = Scale::up_to(most, most);
    let end = scale.most_x;
    html! {
        figure {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby="calibration" {
                title id="calibration" {
                    "Observed against predicted share of bad customers; on the dashed line both agree"
                }
                (scale.axes("predicted", "observed", per_cent))
                line.guide x1=(scale.x(0.0)) y1=(scale.y(0.0)) x2=(scale.x(end)) y2=(scale.y(end)) {}
                @for band in bands {
                    @let x = scale.x(band.predicted);
                    line.whisker x1=(x) x2=(x) y1=(scale.y(band.observed.low))
                        y2=(scale.y(band.observed.high)) {}
                    circle.dot cx=(x) cy=(scale.y(band.observed.value)) r="4" {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        let ends = [0.0, 0.37, 1.0, 13_279.0, 23_818_650.0].map(round_up);
        let expected = [1.0, 0.4, 1.0, 20_000.0, 25_000_000.0];
        for (end, expected) in ends.into_iter().zip(expected) {
            assert!((end - expected).abs() < 1e-9 * expected, "{end} {expected}");
        }
        assert_eq!(
            [0.0, 750.0, 12_500.0, 6_250_000.0].map(short),
            ["0", "750", "12.5 k", "6.25 m"]
        );
        assert_eq!([0.0, 0.125].map(per_cent), ["0 %", "12.5 %"]);
    }
}
