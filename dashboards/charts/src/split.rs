//! In which shares each divides.

use std::fmt::Write;

use crate::{
    figure::{About, Entry, Size, Swatch},
    format::{NONE, percent},
    rows::{self, Key, Layout, Row},
    svg::{Area, Svg},
};

/// Bars of 100 %, each of the same parts. Amounts may be counts or shares: only their proportion is shown.
///
/// A part that is anything at all is at least three pixels wide: one failure in a thousand is to be seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// What is shown.
    pub title: String,
    /// What to see in it; may be empty.
    pub note: String,
    /// The parts, from left to right.
    pub keys: Vec<Key>,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

/// What a part that is anything has at least, in pixels: one of them is the border.
const VISIBLE: f64 = 3.0;

impl Split {
    /// Returns the rows as shares of one.
    fn shares(&self) -> Vec<Row> {
        let keys = self.keys.len();
        let of = |row: &Row| {
            let total = row.total(keys);
            // What is missing stays missing, and all of nothing is nothing.
            let share = |key| {
                row.amount(key)
                    .map_or(f64::NAN, |amount| if 0.0 < total { amount / total } else { 0.0 })
            };
            Row { amounts: (0..keys).map(share).collect(), ..row.clone() }
        };
        self.rows.iter().map(of).collect()
    }

    fn numbers(&self, row: &Row) -> Vec<String> {
        (0..self.keys.len()).map(|key| rows::told(row, key, percent)).collect()
    }

    pub(crate) fn about(&self) -> About<'_> {
        let shares = self.shares();
        let mut seen = String::new();
        for row in &shares {
            let parts = self
                .keys
                .iter()
                .zip(self.numbers(row))
                .map(|(key, share)| format!("{} {share}", key.name));
            let _ = write!(seen, "{}: {}. ", row.name, parts.collect::<Vec<_>>().join(", "));
        }
        About {
            title: &self.title,
            note: &self.note,
            seen,
            legend: self
                .keys
                .iter()
                .map(|key| Entry { name: &key.name, colour: key.colour, swatch: Swatch::Fill })
                .collect(),
            labelled: false,
            missing: rows::missing(&self.keys, &self.rows),
            numbers: rows::numbers(&self.keys, &shares, percent, false),
            is_empty: self.rows.is_empty(),
        }
    }

    pub(crate) fn draw(&self, svg: &mut Svg, size: Size) -> f64 {
        let shares = self.shares();
        let numbers: Vec<Vec<String>> = shares.iter().map(|row| self.numbers(row)).collect();
        let heads: Vec<&str> = self.keys.iter().map(|key| &*key.name).collect();
        let layout =
            Layout::new(size, &shares, &numbers, &heads, if size.is_phone() { 0.0 } else { 22.0 });
        layout.heads(svg, &heads);
        for (at, row) in shares.iter().enumerate() {
            layout.row(svg, at, row, &numbers[at]);
            let bar = layout.bar(at);
            let mut from = bar.x;
            for ((key, width), told) in
                self.keys.iter().zip(widths(row, bar.width)).zip(&numbers[at])
            {
                if width == 0.0 {
                    continue;
                }
                let told = format!("{} · {} {told}", row.name, key.name);
                let part = Area { x: from, width, ..bar };
                svg.told_rect(&format!("fill part {}", key.colour.class()), part, &told);
                from += width;
            }
            if numbers[at].iter().all(|number| number == NONE || number == "0") {
                svg.rect("hollow", bar);
            }
        }
        layout.plot.bottom() + 4.0
    }
}

/// Returns how wide each part is; what the small ones get the others give, each by its own width.
fn widths(row: &Row, all: f64) -> Vec<f64> {
    let wanted: Vec<f64> =
        (0..row.amounts.len()).map(|key| row.amount(key).unwrap_or(0.0) * all).collect();
    let small = |width: &f64| 0.0 < *width && *width < VISIBLE;
    let given = wanted.iter().filter(|width| small(width)).count() as f64 * VISIBLE;
    let large: f64 = wanted.iter().filter(|width| VISIBLE <= **width).sum();
    let width = |width: f64| match width {
        _ if small(&width) => VISIBLE,
        _ if large == 0.0 => width,
        _ => width * (all - given) / large,
    };
    wanted.into_iter().map(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_anything_is_seen_and_all_of_it_is_the_width() {
        for (amounts, expected) in [
            (vec![0.5, 0.5, 0.0], [50.0, 50.0, 0.0]),
            (vec![0.999, 0.0, 0.001], [97.0, 0.0, 3.0]),
            (vec![0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
            (vec![0.998, 0.001, 0.001], [94.0, 3.0, 3.0]),
        ] {
            let widths = widths(&Row::new("row", amounts), 100.0);
            let near = |(own, expected): (&f64, &f64)| (own - expected).abs() < 1e-9;
            assert!(widths.iter().zip(&expected).all(near), "{widths:?}");
        }
    }

    #[test]
    fn counts_and_shares_are_shown_alike() {
        let of = |amounts: [f64; 2]| {
            let keys = vec![
                Key::new("lambda", crate::Colour::Orange),
                Key::new("container", crate::Colour::Blue),
            ];
            let rows = vec![Row::new("row", amounts)];
            Split { title: String::new(), note: String::new(), keys, rows }.shares()[0]
                .amounts
                .clone()
        };
        assert_eq!(of([30.0, 10.0]), [0.75, 0.25]);
        assert_eq!(of([0.75, 0.25]), [0.75, 0.25]);
        assert_eq!(of([0.0, 0.0]), [0.0, 0.0]);
    }
}
