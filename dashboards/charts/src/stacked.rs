//! What each came to, and of what.

use std::fmt::Write;

use crate::{
    figure::{About, Entry, FONT, Size, Swatch},
    format::Format,
    rows::{self, Key, Layout, Row},
    scale::{self, Linear},
    svg::{Anchor, Area, Path, Svg},
    text,
};

/// An amount to compare all with.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// What it is: `lower bound`.
    pub name: String,
    /// How much; if it is no number it is not drawn.
    pub amount: f64,
}

/// Horizontal bars on one scale, each of several parts, with the total at its end.
///
/// A bar that is off by far would flatten all others. It is cut, visibly, and keeps its number: see `scale::longest`.
#[derive(Debug, Clone)]
pub struct StackedBars {
    /// What is shown.
    pub title: String,
    /// What to see in it; may be empty.
    pub note: String,
    /// Writes an amount with its unit.
    pub format: Format,
    /// The parts, from left to right.
    pub keys: Vec<Key>,
    /// From top to bottom.
    pub rows: Vec<Row>,
    /// A line across all bars.
    pub reference: Option<Reference>,
}

impl StackedBars {
    fn totals(&self) -> impl Iterator<Item = f64> {
        self.rows.iter().map(|row| row.total(self.keys.len()))
    }

    fn longest(&self) -> f64 {
        scale::longest(self.totals())
    }

    fn reference(&self) -> Option<(&str, f64)> {
        let reference = self.reference.as_ref()?;
        let amount = scale::drawable(reference.amount).filter(|amount| 0.0 <= *amount)?;
        Some((&reference.name, amount))
    }

    /// Parts that are anything in any row: a legend names no others.
    fn used(&self) -> impl Iterator<Item = usize> {
        let used = |key: &usize| {
            self.rows.iter().any(|row| row.amount(*key).is_none_or(|amount| 0.0 < amount))
        };
        (0..self.keys.len()).filter(used)
    }

    pub(crate) fn about(&self) -> About<'_> {
        let longest = self.longest();
        let mut seen = String::new();
        for (row, total) in self.rows.iter().zip(self.totals()) {
            let cut = if longest < total { " (cut off)" } else { "" };
            let told = rows::total_told(row, self.keys.len(), self.format);
            let _ = write!(seen, "{}: {told}{cut}. ", row.name);
        }
        if let Some((name, amount)) = self.reference() {
            let _ = write!(seen, "{name}: {}.", (self.format)(amount));
        }
        let used: Vec<usize> = self.used().collect();
        let keys: Vec<Key> = used.iter().map(|key| self.keys[*key].clone()).collect();
        let picked = |row: &Row| Row {
            amounts: used.iter().map(|key| row.amounts.get(*key).copied().unwrap_or(0.0)).collect(),
            ..row.clone()
        };
        let rows: Vec<Row> = self.rows.iter().map(picked).collect();
        let reference = self.reference.as_ref().is_some_and(|_| self.reference().is_none());
        About {
            title: &self.title,
            note: &self.note,
            seen,
            legend: used
                .iter()
                .map(|key| &self.keys[*key])
                .map(|key| Entry { name: &key.name, colour: key.colour, swatch: Swatch::Fill })
                .collect(),
            labelled: false,
            missing: rows::missing(&self.keys, &self.rows) + usize::from(reference),
            numbers: rows::numbers(&keys, &rows, self.format, true),
            is_empty: self.rows.is_empty(),
        }
    }

    pub(crate) fn draw(&self, svg: &mut Svg, size: Size) -> f64 {
        let totals: Vec<f64> = self.totals().collect();
        let told = |row: &Row| vec![rows::total_told(row, self.keys.len(), self.format)];
        let numbers: Vec<Vec<String>> = self.rows.iter().map(told).collect();
        let longest = self.longest();
        // Beyond the scale there would be nothing but the line.
        let reference =
            self.reference().filter(|(_, amount)| *amount <= longest * 1.5 || longest == 0.0);
        let top = if reference.is_some() { 24.0 } else { 4.0 };
        let layout = Layout::new(size, &self.rows, &numbers, &[], top);
        let plot = layout.plot;
        let most = if size.is_phone() { 4 } else { 6 };
        let axis = Linear::new(0.0, longest.max(reference.map_or(0.0, |(_, amount)| amount)), most);
        let x = |amount: f64| plot.x + axis.place(amount) * plot.width;

        for (at, row) in self.rows.iter().enumerate() {
            layout.row(svg, at, row, &numbers[at]);
        }
        for tick in &axis.ticks {
            let label = (self.format)(*tick);
            layout.across(svg, if *tick == 0.0 { "axis" } else { "grid" }, x(*tick));
            let half = text::width(&label, FONT) / 2.0;
            let at = x(*tick).max(half).min(size.width() - half);
            svg.text("soft", (at, plot.bottom() + 17.0), Anchor::Middle, &label);
        }
        for (at, row) in self.rows.iter().enumerate() {
            let bar = layout.bar(at);
            let end = if longest < totals[at] { plot.right() } else { x(totals[at]) };
            let mut below = 0.0;
            for (key, Key { name, colour }) in self.keys.iter().enumerate() {
                let amount = row.amount(key).unwrap_or(0.0);
                let from = x(below);
                below += amount;
                if amount == 0.0 || end <= from {
                    continue;
                }
                let part = Area { x: from, width: x(below) - from, ..bar };
                let told = format!(
                    "{} · {name} {} of {}",
                    row.name,
                    (self.format)(amount),
                    numbers[at][0]
                );
                svg.told_rect(&format!("fill part {}", colour.class()), part, &told);
            }
            if longest < totals[at] {
                cut(svg, bar);
            }
        }
        if let Some((name, amount)) = reference {
            // Lighter below, or it would not be seen on dark bars.
            layout.across(svg, "under", x(amount));
            layout.across(svg, "reference", x(amount));
            let told = format!("{name} {}", (self.format)(amount));
            let half = text::width(&told, FONT) / 2.0;
            let at = x(amount).max(half).min(size.width() - half);
            svg.text("label", (at, plot.y - 11.0), Anchor::Middle, &told);
        }
        plot.bottom() + 24.0
    }
}

/// Draws the mark of a bar that goes on further than is shown: two jagged lines with nothing between.
fn cut(svg: &mut Svg, bar: Area) {
    let x = bar.right() - 22.0;
    let mut tear = Path::default();
    let steps = 4_u8;
    for step in 0..=steps {
        let y = bar.y - 2.0 + (bar.height + 4.0) * f64::from(step) / f64::from(steps);
        let point = (x + if step % 2 == 0 { 0.0 } else { 6.0 }, y);
        tear.through([point]);
    }
    svg.told_path("tear", &tear, "Cut off: it is too long for this scale.");
}
