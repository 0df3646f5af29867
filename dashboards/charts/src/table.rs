//! A table.

use std::fmt::Write;

use crate::{colour::Colour, scale, text::Escaped};

/// On which side of its column a cell's text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Align {
    /// For words.
    #[default]
    Left,
    /// For numbers.
    Right,
}

/// What stands above a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub head: String,
    /// Where its texts are.
    pub align: Align,
    /// Draws the amounts of its cells as bars behind the texts.
    pub bar: Option<Colour>,
}

impl Column {
    /// A column of words.
    pub fn words(head: impl Into<String>) -> Self {
        Self { head: head.into(), align: Align::Left, bar: None }
    }

    /// A column of numbers.
    pub fn numbers(head: impl Into<String>) -> Self {
        Self { head: head.into(), align: Align::Right, bar: None }
    }

    /// A column of numbers with bars.
    pub fn bars(head: impl Into<String>, colour: Colour) -> Self {
        Self { head: head.into(), align: Align::Right, bar: Some(colour) }
    }
}

/// One text in a row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// How long its bar is, in whatever the column counts; none without a bar. What is no number has none.
    pub amount: Option<f64>,
}

impl Cell {
    /// A text with a bar.
    pub fn bar(text: impl Into<String>, amount: f64) -> Self {
        Self { text: text.into(), amount: Some(amount) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), amount: None }
    }
}

/// Cells, one a column; the first names the row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Line {
    /// In the order of the columns; those that lack are empty, and more than there are columns are not shown.
    pub cells: Vec<Cell>,
    /// Whether it is the one to look at.
    pub emphasis: bool,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// What it shows: a short sentence above it.
    pub caption: String,
    /// From left to right; the first names the rows.
    pub columns: Vec<Column>,
    /// From top to bottom.
    pub rows: Vec<Line>,
}

impl Table {
    /// Adds a row.
    pub fn push<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) -> &mut Line {
        self.rows
            .push(Line { cells: cells.into_iter().map(Into::into).collect(), emphasis: false });
        let last = self.rows.len() - 1;
        &mut self.rows[last]
    }

    pub(crate) fn write(&self, out: &mut String) {
        // A table that is too wide scrolls within its own box; that must work from the keyboard too.
        let name = if self.caption.is_empty() { "Table" } else { &self.caption };
        let _ = write!(
            out,
            "<div class=\"table\" role=\"region\" tabindex=\"0\" aria-label=\"{}\"><table>",
            Escaped(name)
        );
        if !self.caption.is_empty() {
            let _ = write!(out, "<caption>{}</caption>", Escaped(&self.caption));
        }
        out.push_str("<thead><tr>");
        for column in &self.columns {
            let _ =
                write!(out, "<th scope=\"col\"{}>{}</th>", class(column), Escaped(&column.head));
        }
        out.push_str("</tr></thead><tbody>");
        let longest: Vec<f64> = (0..self.columns.len()).map(|at| self.longest(at)).collect();
        for row in &self.rows {
            out.push_str(if row.emphasis { "<tr class=\"emphasis\">" } else { "<tr>" });
            let empty = Cell::default();
            for (at, column) in self.columns.iter().enumerate() {
                let cell = row.cells.get(at).unwrap_or(&empty);
                let (open, close) = if at == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
                let _ = write!(out, "<{open}{}>", class(column));
                let _ = match (column.bar, cell.amount.and_then(scale::drawable)) {
                    (Some(colour), Some(amount)) if 0.0 < amount && 0.0 < longest[at] => {
                        let cut = if longest[at] < amount { " cut" } else { "" };
                        let percent = (amount / longest[at] * 100.0).min(100.0);
                        write!(
                            out,
                            "<i class=\"bar{cut} {}\" style=\"width:{percent:.1}%\"></i><b>{}</b>",
                            colour.class(),
                            Escaped(&cell.text)
                        )
                    }
                    _ => write!(out, "{}", Escaped(&cell.text)),
                };
                let _ = write!(out, "</{close}>");
            }
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table></div>\n");
    }

    fn longest(&self, column: usize) -> f64 {
        scale::longest(self.rows.iter().filter_map(|row| row.cells.get(column)?.amount))
    }
}

fn class(column: &Column) -> &'static str {
    match (column.align, column.bar) {
        (_, Some(_)) => " class=\"num bars\"",
        (Align::Right, None) => " class=\"num\"",
        (Align::Left, None) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(amounts: &[f64]) -> String {
        let mut table = Table {
            columns: vec![Column::words("planner"), Column::bars("cost", Colour::Blue)],
            ..Table::default()
        };
        for amount in amounts {
            table.push([Cell::from("<b>"), Cell::bar("text", *amount)]);
        }
        let mut out = String::new();
        table.write(&mut out);
        out
    }

    #[test]
    fn bars_are_as_long_as_their_amounts_and_cut_where_they_are_off_by_far() {
        let out = written(&[10.0, 5.0, 400.0]);
        for part in [
            "bar blue\" style=\"width:100.0%",
            "bar blue\" style=\"width:50.0%",
            "bar cut blue\" style=\"width:100.0%",
        ] {
            assert!(out.contains(part), "{part}: {out}");
        }
        assert!(out.contains("&lt;b&gt;"), "{out}");
    }

    #[test]
    fn what_is_no_number_has_no_bar() {
        let out = written(&[f64::NAN, f64::INFINITY, 0.0, -3.0]);
        assert!(!out.contains("width:"), "{out}");
    }

    #[test]
    fn rows_of_another_length_fit_the_columns() {
        let mut table =
            Table { columns: vec![Column::words("a"), Column::numbers("b")], ..Table::default() };
        table.push(["one"]);
        table.push(["one", "two", "three"]).emphasis = true;
        let mut out = String::new();
        table.write(&mut out);
        assert_eq!(out.matches("<td").count(), 2, "{out}");
        assert!(out.contains("class=\"emphasis\"") && !out.contains("three"), "{out}");
    }
}
