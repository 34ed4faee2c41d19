//! A table of the page.

use maud::{Markup, html};

/// A table with a caption. The first cell of each row is its heading.
pub(crate) struct Table {
    caption: String,
    columns: Vec<(String, bool)>,
    rows: Vec<(bool, Vec<Markup>)>,
}

impl Table {
    pub(crate) fn new(caption: &str) -> Self {
        Self { caption: caption.to_owned(), columns: Vec::new(), rows: Vec::new() }
    }

    /// The columns, each with its heading and whether it has numbers.
    pub(crate) fn columns(mut self, columns: &[(&str, bool)]) -> Self {
        self.columns = columns.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        self
    }

    /// Adds a row. `look` marks one that a person should look at.
    pub(crate) fn row(&mut self, look: bool, cells: impl IntoIterator<Item = Markup>) {
        self.rows.push((look, cells.into_iter().collect()));
    }

    /// Adds a row of texts.
    pub(crate) fn texts<T: AsRef<str>>(&mut self, look: bool, cells: impl IntoIterator<Item = T>) {
        self.row(look, cells.into_iter().map(|cell| html! { (cell.as_ref()) }));
    }

    pub(crate) fn markup(&self) -> Markup {
        let class = |column: usize| self.columns.get(column).filter(|one| one.1).map(|_| "n");
        html! {
            // A wide table scrolls by itself, also with the keyboard.
            div.wide role="region" aria-label=(self.caption) tabindex="0" {
                table {
                    caption { (self.caption) }
                    thead { tr {
                        @for (position, (name, _)) in self.columns.iter().enumerate() {
                            th scope="col" class=[class(position)] { (name) }
                        }
                    } }
                    tbody {
                        @for (look, cells) in &self.rows {
                            tr class=[look.then_some("look")] {
                                @for (position, cell) in cells.iter().enumerate() {
                                    @if position == 0 {
                                        th scope="row" { (cell) }
                                    } @else {
                                        td class=[class(position)] { (cell) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
