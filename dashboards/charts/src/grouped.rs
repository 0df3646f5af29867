//! The same amount under several assumptions: how far a verdict hangs on a guess.

use std::fmt::Write;

use crate::{
    colour::Colour,
    figure::{About, Entry, FONT, Size, Swatch},
    format::Format,
    rows::{self, Key, Layout, Row},
    scale::{self, Linear},
    svg::{Anchor, Path, Svg},
    text,
};

/// A point for each assumption on a row's scale, and a line from the least to the most.
///
/// Each assumption has a colour and a form of its own. What is off the scale by far is an arrow at its end, and keeps its
/// number.
#[derive(Debug, Clone)]
pub struct Grouped {
    /// What is shown.
    pub title: String,
    /// What to see in it; may be empty.
    pub note: String,
    /// Writes an amount with its unit.
    pub format: Format,
    /// The assumptions.
    pub keys: Vec<Key>,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

impl Grouped {
    fn numbers(&self, row: &Row) -> Vec<String> {
        (0..self.keys.len()).map(|key| rows::told(row, key, self.format)).collect()
    }

    pub(crate) fn about(&self) -> About<'_> {
        let mut seen = String::new();
        for row in &self.rows {
            let parts = self
                .keys
                .iter()
                .zip(self.numbers(row))
                .map(|(key, told)| format!("{} {told}", key.name));
            let _ = write!(seen, "{}: {}. ", row.name, parts.collect::<Vec<_>>().join(", "));
        }
        About {
            title: &self.title,
            note: &self.note,
            seen,
            legend: self
                .keys
                .iter()
                .enumerate()
                .map(|(at, key)| Entry {
                    name: &key.name,
                    colour: key.colour,
                    swatch: Swatch::Point(at),
                })
                .collect(),
            labelled: false,
            missing: rows::missing(&self.keys, &self.rows),
            numbers: rows::numbers(&self.keys, &self.rows, self.format, false),
            is_empty: self.rows.is_empty(),
        }
    }

    pub(crate) fn draw(&self, svg: &mut Svg, size: Size) -> f64 {
        let numbers: Vec<Vec<String>> = self.rows.iter().map(|row| self.numbers(row)).collect();
        let heads: Vec<&str> = self.keys.iter().map(|key| &*key.name).collect();
        let layout = Layout::new(
            size,
            &self.rows,
            &numbers,
            &heads,
            if size.is_phone() { 0.0 } else { 22.0 },
        );
        // Room for half a point, and an arrow, beside the scale.
        let (from, until) = (layout.plot.x + 8.0, layout.plot.right() - 16.0);
        let all =
            self.rows.iter().flat_map(|row| (0..self.keys.len()).filter_map(|key| row.amount(key)));
        let longest = scale::longest(all);
        let axis = Linear::new(0.0, longest, if size.is_phone() { 4 } else { 5 });
        let x = |amount: f64| from + axis.place(amount) * (until - from);

        for (at, row) in self.rows.iter().enumerate() {
            layout.row(svg, at, row, &numbers[at]);
        }
        layout.heads(svg, &heads);
        let bottom = layout.plot.bottom();
        for tick in &axis.ticks {
            let label = (self.format)(*tick);
            layout.across(svg, if *tick == 0.0 { "axis" } else { "grid" }, x(*tick));
            let half = text::width(&label, FONT) / 2.0;
            let at = x(*tick).max(half).min(size.width() - half);
            svg.text("soft", (at, bottom + 17.0), Anchor::Middle, &label);
        }
        for (at, row) in self.rows.iter().enumerate() {
            let bar = layout.bar(at);
            let y = bar.y + bar.height / 2.0;
            let drawn = || (0..self.keys.len()).filter_map(|key| row.amount(key));
            let (least, most) =
                (drawn().fold(f64::INFINITY, f64::min), drawn().fold(0.0, f64::max));
            if least < most {
                let end = if longest < most { layout.plot.right() } else { x(most) };
                svg.line("range", (x(least), y), (end, y));
            }
            if longest < most {
                let right = layout.plot.right();
                let mut arrow = Path::default();
                arrow.through([(right - 7.0, y - 5.0), (right, y), (right - 7.0, y + 5.0)]);
                svg.path("range", &arrow);
            }
            for (number, key) in self.keys.iter().enumerate() {
                let Some(amount) = row.amount(number).filter(|amount| *amount <= longest) else {
                    continue;
                };
                let told = format!("{} · {} {}", row.name, key.name, numbers[at][number]);
                point(svg, number, key.colour, (x(amount), y), Some(&told));
            }
        }
        bottom + 24.0
    }
}

/// Draws the point of an assumption: a triangle that points to the left, a square on its edge, one to the right, a square.
pub(crate) fn point(
    svg: &mut Svg,
    number: usize,
    colour: Colour,
    (x, y): (f64, f64),
    told: Option<&str>,
) {
    let corners: [(f64, f64); 4] = match number % 4 {
        0 => [(-6.5, 0.0), (4.5, -6.0), (4.5, 6.0), (-6.5, 0.0)],
        1 => [(-6.0, 0.0), (0.0, -6.0), (6.0, 0.0), (0.0, 6.0)],
        2 => [(6.5, 0.0), (-4.5, -6.0), (-4.5, 6.0), (6.5, 0.0)],
        _ => [(-5.0, -5.0), (5.0, -5.0), (5.0, 5.0), (-5.0, 5.0)],
    };
    let mut path = Path::default();
    path.through(corners.map(|(dx, dy)| (x + dx, y + dy)));
    path.close();
    let class = format!("fill point {}", colour.class());
    match told {
        Some(told) => svg.told_path(&class, &path, told),
        None => svg.path(&class, &path),
    }
}
