//! Tables as subctl prints them, and reports that fill them.

mod report;
mod rows;
mod services;

pub use report::{ClusterReport, Section};
pub use rows::{Component, ConnectionRow, EndpointRow, GatewayRow, Networks};
pub use services::services;

/// A column: heading, and the greatest width if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub heading: &'static str,
    /// Cells are cut to this many characters, without a mark, as subctl does.
    pub limit: Option<usize>,
}

const fn column(heading: &'static str) -> Column {
    Column {
        heading,
        limit: None,
    }
}

const fn cut(heading: &'static str, limit: usize) -> Column {
    Column {
        heading,
        limit: Some(limit),
    }
}

/// A table of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Columns.
    pub columns: Vec<Column>,
    /// Rows; each has as many cells as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Heading and rows as subctl prints them: each column as wide as its
    /// longest cell (within the limit) or heading, three spaces between.
    #[must_use]
    pub fn render(&self) -> String {
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let longest = self
                    .rows
                    .iter()
                    .filter_map(|row| row.get(index))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0);
                column
                    .heading
                    .chars()
                    .count()
                    .max(longest.min(column.limit.unwrap_or(usize::MAX)))
            })
            .collect();
        let headings = self.columns.iter().map(|column| column.heading);
        let mut text = line(headings, &widths);
        for row in &self.rows {
            text.push_str(&line(row.iter().map(String::as_str), &widths));
        }
        text
    }
}

fn line<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.zip(widths) {
        let shown: String = cell.chars().take(*width).collect();
        text.push_str(&shown);
        text.extend(std::iter::repeat_n(' ', width + 3 - shown.chars().count()));
    }
    format!("{}\n", text.trim_end())
}
