//! The figures of the page, as SVG.
//!
//! They are written through the same templates as the text, and not by a plotting library: so every
//! label is escaped in one place, the colours follow the reader's light or dark mode by the page's
//! style, and a screen reader finds a title and a description. `plotters` fixes the colours and the
//! size when it draws.

use maud::{Markup, html};

/// The width of every figure, in its own units. It fits a telephone without being scaled down.
const WIDTH: f64 = 360.0;
/// The height of a line of horizontal bars.
const LINE: f64 = 22.0;
/// Where the bars begin: the labels are before it.
const LABELS: f64 = 150.0;
/// Where the longest bar ends: the numbers are behind it.
const BARS_END: f64 = 284.0;
/// A longer label is cut. The table beside the figure has all of it.
const MAX_LABEL: usize = 22;

/// A horizontal bar.
pub(crate) struct Bar {
    pub(crate) label: String,
    /// From 0 on; the longest bar of a figure is that of the largest value.
    pub(crate) value: f64,
    /// The value as text.
    pub(crate) shown: String,
    pub(crate) tone: Tone,
}

/// How a bar looks.
#[derive(Clone, Copy)]
pub(crate) enum Tone {
    /// This run.
    Own,
    /// What it is compared with.
    Other,
    /// The runs before it, where they are the third series.
    Past,
    /// What a person should look at.
    Warning,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Other => "other",
            Self::Past => "past",
            Self::Warning => "warning",
        }
    }
}

/// What a figure is called, and what it shows, for those who do not see it.
pub(crate) struct Caption<'a> {
    /// Unique on the page.
    pub(crate) id: &'a str,
    pub(crate) title: &'a str,
    pub(crate) description: &'a str,
}

fn svg(caption: &Caption<'_>, height: f64, content: &Markup) -> Markup {
    let (title, description) = (format!("{}-title", caption.id), format!("{}-desc", caption.id));
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img"
            aria-labelledby=(format!("{title} {description}")) {
            title id=(title) { (caption.title) }
            desc id=(description) { (caption.description) }
            (content)
        }
    }
}

/// Horizontal bars, one below the other. `mark` is a value that gets a vertical line.
pub(crate) fn bars(caption: &Caption<'_>, bars: &[Bar], mark: Option<f64>) -> Markup {
    let most = bars.iter().map(|bar| bar.value).chain(mark).fold(0.0, f64::max);
    let scale = if most > 0.0 { (BARS_END - LABELS) / most } else { 0.0 };
    let height = LINE * bars.len() as f64;
    let content = html! {
        @for (position, bar) in bars.iter().enumerate() {
            @let top = LINE * position as f64;
            @let length = (bar.value.max(0.0) * scale).max(0.5);
            text x=(LABELS - 6.0) y=(top + 15.0) text-anchor="end" { (cut(&bar.label)) }
            rect class=(bar.tone.class()) x=(LABELS) y=(top + 3.0) width=(short(length))
                height=(LINE - 6.0) rx="2" {}
            text x=(short(LABELS + length + 5.0)) y=(top + 15.0) { (bar.shown) }
        }
        @if let Some(mark) = mark {
            @let x = short(LABELS + mark * scale);
            line class="mark" x1=(x) x2=(x) y1="0" y2=(height) {}
        }
    };
    svg(caption, height, &content)
}

/// Groups of columns side by side: each group has the shares of up to three series.
pub(crate) fn columns(
    caption: &Caption<'_>,
    labels: &[String],
    series: &[(Tone, Vec<f64>)],
) -> Markup {
    const BASE: f64 = 150.0;
    // Room for the first label, which begins left of its column.
    const LEFT: f64 = 38.0;
    let most = series.iter().flat_map(|(_, values)| values).copied().fold(0.0, f64::max);
    let scale = if most > 0.0 { (BASE - 10.0) / most } else { 0.0 };
    let group = (WIDTH - LEFT) / labels.len().max(1) as f64;
    let column = group * 0.86 / series.len().max(1) as f64;
    let content = html! {
        @for (place, (tone, values)) in series.iter().enumerate() {
            @for (position, value) in values.iter().enumerate() {
                @let height = value.max(0.0) * scale;
                @let left = LEFT + group * position as f64;
                rect class=(tone.class()) x=(short(left + column * place as f64))
                    y=(short(BASE - height)) width=(short(column - 1.0)) height=(short(height)) {}
            }
        }
        line class="axis" x1="0" x2=(WIDTH) y1=(BASE) y2=(BASE) {}
        @for (position, label) in labels.iter().enumerate() {
            @let x = LEFT + group * (position as f64 + 0.4);
            @let y = BASE + 10.0;
            text class="tilted" x=(short(x)) y=(short(y)) text-anchor="end"
                transform=(format!("rotate(-50 {x:.1} {y:.1})")) { (cut(label)) }
        }
    };
    svg(caption, BASE + 82.0, &content)
}

/// One small column for each run, the last of which is this run. A run without the number has a
/// gap. `mark` is a value that gets a horizontal line.
pub(crate) fn history(caption: &Caption<'_>, values: &[Option<f64>], mark: Option<f64>) -> Markup {
    const BASE: f64 = 70.0;
    let most = values.iter().flatten().copied().chain(mark).fold(0.0, f64::max);
    let scale = if most > 0.0 { (BASE - 6.0) / most } else { 0.0 };
    let step = WIDTH / values.len().max(8) as f64;
    let last = values.len().saturating_sub(1);
    let content = html! {
        @for (position, value) in values.iter().enumerate() {
            @if let Some(value) = value {
                @let height = (value.max(0.0) * scale).max(0.5);
                @let tone = match (position == last, mark) {
                    (_, Some(mark)) if *value > mark => Tone::Warning,
                    (true, _) => Tone::Own,
                    (false, _) => Tone::Other,
                };
                rect class=(tone.class()) x=(short(step * position as f64)) y=(short(BASE - height))
                    width=(short(step * 0.8)) height=(short(height)) {}
            }
        }
        line class="axis" x1="0" x2=(WIDTH) y1=(BASE) y2=(BASE) {}
        @if let Some(mark) = mark {
            @let y = short(BASE - mark * scale);
            line class="mark" x1="0" x2=(WIDTH) y1=(y) y2=(y) {}
        }
    };
    svg(caption, BASE + 4.0, &content)
}

/// A coordinate with one decimal, which is finer than a pixel.
fn short(number: f64) -> String {
    format!("{number:.1}")
}

fn cut(label: &str) -> String {
    if label.chars().count() <= MAX_LABEL {
        return label.to_owned();
    }

    label.chars().take(MAX_LABEL - 1).chain(['…']).collect()
}
