//! What pictures of one row a planner have in common: names to the left, numbers to the right, on a phone both above.

use crate::{
    colour::Colour,
    figure::{FONT, Size},
    format::{Format, NONE},
    scale,
    svg::{Anchor, Area, Svg},
    table::{Column, Table},
    text,
};

/// What one of the amounts of each row is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// What it is called.
    pub name: String,
    /// What it is drawn in, in every row.
    pub colour: Colour,
}

impl Key {
    /// A name and its colour.
    pub fn new(name: impl Into<String>, colour: Colour) -> Self {
        Self { name: name.into(), colour }
    }
}

/// Amounts that belong together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// Whose they are.
    pub name: String,
    /// In the order of the keys; those that lack are zero. What is no number or below zero is not drawn, which is said.
    pub amounts: Vec<f64>,
    /// Whether it is the one to look at.
    pub emphasis: bool,
}

impl Row {
    /// A name and its amounts.
    pub fn new(name: impl Into<String>, amounts: impl Into<Vec<f64>>) -> Self {
        Self { name: name.into(), amounts: amounts.into(), emphasis: false }
    }

    /// Makes it the one to look at.
    #[must_use]
    pub fn emphasised(self) -> Self {
        Self { emphasis: true, ..self }
    }

    /// Returns what is drawn of an amount: none if it cannot be.
    pub(crate) fn amount(&self, key: usize) -> Option<f64> {
        let amount = self.amounts.get(key).copied().unwrap_or(0.0);
        scale::drawable(amount).filter(|amount| 0.0 <= *amount)
    }

    /// Returns the sum of what can be drawn.
    pub(crate) fn total(&self, keys: usize) -> f64 {
        (0..keys).filter_map(|key| self.amount(key)).sum()
    }
}

/// Counts amounts that cannot be drawn.
pub(crate) fn missing(keys: &[Key], rows: &[Row]) -> usize {
    let of = |row: &Row| (0..keys.len()).filter(|key| row.amount(*key).is_none()).count();
    rows.iter().map(of).sum()
}

/// Returns all amounts, a column for each key; and with `total` their sums.
pub(crate) fn numbers(keys: &[Key], rows: &[Row], format: Format, total: bool) -> Table {
    let mut columns = vec![Column::words("")];
    columns.extend(keys.iter().map(|key| Column::numbers(&key.name)));
    if total {
        columns.push(Column::numbers("total"));
    }
    let mut table = Table { columns, ..Table::default() };
    for row in rows {
        let mut cells = vec![row.name.clone()];
        cells.extend((0..keys.len()).map(|key| told(row, key, format)));
        if total {
            cells.push(total_told(row, keys.len(), format));
        }
        table.push(cells).emphasis = row.emphasis;
    }
    table
}

/// Writes an amount, or that it is missing.
pub(crate) fn told(row: &Row, key: usize, format: Format) -> String {
    row.amount(key).map_or_else(|| NONE.to_owned(), format)
}

/// Writes a row's sum; where an amount is missing there is none.
pub(crate) fn total_told(row: &Row, keys: usize, format: Format) -> String {
    let whole = (0..keys).all(|key| row.amount(key).is_some());
    if whole { format(row.total(keys)) } else { NONE.to_owned() }
}

/// Between two columns of numbers.
const GAP: f64 = 16.0;

/// Where the rows are, and what of them is the plot.
#[derive(Debug)]
pub(crate) struct Layout {
    size: Size,
    /// Of the numbers to the right, the right edges.
    columns: Vec<f64>,
    pub(crate) plot: Area,
    pitch: f64,
    bar: f64,
}

impl Layout {
    /// Makes room for names and for numbers, of which each row has one a column. `top` pixels stay free above.
    ///
    /// `heads` stand above the numbers on a screen; on a phone there is no room for them.
    pub(crate) fn new(
        size: Size,
        rows: &[Row],
        numbers: &[Vec<String>],
        heads: &[&str],
        top: f64,
    ) -> Self {
        let widest = |texts: &mut dyn Iterator<Item = &str>| {
            // Emphasis is bold, which is wider.
            texts.map(|text| text::width(text, FONT) * 1.06).fold(0.0, f64::max)
        };
        let count = numbers.iter().map(Vec::len).max().unwrap_or(0);
        let names = widest(&mut rows.iter().map(|row| &*row.name));
        let (bar, pitch) = (18.0, if size.is_phone() { 48.0 } else { 30.0 });
        let (mut right, mut columns) = (size.width(), vec![0.0; count]);
        let mut left = 0.0;
        if !size.is_phone() {
            for at in (0..count).rev() {
                columns[at] = right;
                let head = heads.get(at).copied().into_iter();
                let texts = numbers.iter().filter_map(|row| row.get(at)).map(|text| &**text);
                right -= widest(&mut texts.chain(head)).min(130.0) + GAP;
            }
            left = names.clamp(60.0, 190.0) + 12.0;
        }
        let height = pitch * rows.len() as f64;
        let plot = Area { x: left, y: top, width: right.max(left + 100.0) - left, height };
        Self { size, columns, plot, pitch, bar }
    }

    /// Returns where a row's bar is, over the whole width of the plot.
    pub(crate) fn bar(&self, row: usize) -> Area {
        let bottom = self.plot.y + self.pitch * (row + 1) as f64 - 6.0;
        Area { y: bottom - self.bar, height: self.bar, ..self.plot }
    }

    /// Draws a line across all bars; on a phone not through the names between them.
    pub(crate) fn across(&self, svg: &mut Svg, class: &str, x: f64) {
        if !self.size.is_phone() {
            svg.line(class, (x, self.plot.y), (x, self.plot.bottom()));
            return;
        }
        let rows = (self.plot.height / self.pitch).round() as usize;
        for bar in (0..rows).map(|row| self.bar(row)) {
            svg.line(class, (x, bar.y - 2.0), (x, bar.bottom() + 2.0));
        }
    }

    /// Writes what stands above the numbers.
    pub(crate) fn heads(&self, svg: &mut Svg, heads: &[&str]) {
        if self.size.is_phone() {
            return;
        }
        for (head, right) in heads.iter().zip(&self.columns) {
            svg.text(
                "soft",
                (right - 4.0, self.plot.y - 8.0),
                Anchor::End,
                &text::shortened(head, FONT, 130.0),
            );
        }
    }

    /// Writes a row's name and numbers, and marks the one to look at.
    pub(crate) fn row(&self, svg: &mut Svg, at: usize, row: &Row, numbers: &[String]) {
        let bar = self.bar(at);
        let bold = if row.emphasis { " bold" } else { "" };
        if row.emphasis {
            let y = bar.bottom() + 6.0 - self.pitch;
            svg.rect("spot", Area { x: 0.0, y, width: self.size.width(), height: self.pitch });
        }
        if self.size.is_phone() {
            let y = bar.y - 7.0;
            let numbers = numbers.join(" · ");
            let room = self.size.width() - text::width(&numbers, FONT) - GAP;
            svg.text(
                &format!("label{bold}"),
                (2.0, y),
                Anchor::Start,
                &text::shortened(&row.name, FONT, room.max(80.0)),
            );
            svg.text(&format!("num{bold}"), (self.size.width() - 2.0, y), Anchor::End, &numbers);
            return;
        }
        let y = bar.y + bar.height / 2.0 + 4.5;
        let name = text::shortened(&row.name, FONT, self.plot.x - 12.0);
        svg.text(&format!("label{bold}"), (4.0, y), Anchor::Start, &name);
        for (number, right) in numbers.iter().zip(&self.columns) {
            svg.text(
                &format!("num{bold}"),
                (right - 4.0, y),
                Anchor::End,
                &text::shortened(number, FONT, 130.0),
            );
        }
    }
}
