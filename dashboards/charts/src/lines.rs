//! How something went over time: load, what was held ready for it, and what was forecast.

mod canvas;

use std::fmt::Write;

use self::canvas::Canvas;

use crate::{
    colour::Colour,
    figure::{About, Entry, FONT, Size, Swatch},
    format::{Format, NONE},
    scale::{self, Linear},
    svg::{Anchor, Area, Svg},
    table::{Column, Table},
    text,
    time::Span,
};

/// What a series is drawn as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// Filled down to zero: load.
    Area,
    /// From point to point.
    #[default]
    Line,
    /// From point to point, dashed: what was expected.
    Dashed,
    /// Each value holds until the next: capacity.
    Steps,
}

/// Values over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// What it is drawn in.
    pub colour: Colour,
    /// What it is drawn as.
    pub shape: Shape,
    /// When, in microseconds, and how much. In any order. What is no number leaves a gap, which is said.
    pub points: Vec<(u64, f64)>,
}

/// What values were expected to lie within, over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// What it is: `p10 to p90`.
    pub name: String,
    /// What it is drawn in.
    pub colour: Colour,
    /// When, in microseconds; from how much; to how much. In any order. What is no number leaves a gap, which is said.
    pub points: Vec<(u64, f64, f64)>,
}

/// Series over the same time, which is told in UTC, or since the start where it begins before 1980.
#[derive(Debug, Clone)]
pub struct Lines {
    /// What is shown.
    pub title: String,
    /// What to see in it; may be empty.
    pub note: String,
    /// What the values are, with their unit: `requests at once`.
    pub unit: String,
    /// Writes a value.
    pub format: Format,
    /// Drawn below the series; the widest first.
    pub bands: Vec<Band>,
    /// Drawn in this order: areas first.
    pub series: Vec<Series>,
}

/// As many places along the time tell what was there when pointed at.
const READOUTS: usize = 60;

impl Lines {
    fn moments(&self) -> impl Iterator<Item = u64> {
        let series =
            self.series.iter().flat_map(|series| series.points.iter().map(|point| point.0));
        series.chain(self.bands.iter().flat_map(|band| band.points.iter().map(|point| point.0)))
    }

    fn span(&self) -> Option<Span> {
        let (start_us, end_us) = (self.moments().min()?, self.moments().max()?);
        Some(Span { start_us, end_us })
    }

    fn axis(&self, most: usize) -> Linear {
        let series =
            self.series.iter().flat_map(|series| series.points.iter().map(|point| point.1));
        let bands = self
            .bands
            .iter()
            .flat_map(|band| band.points.iter().flat_map(|point| [point.1, point.2]));
        let values = series.chain(bands).filter_map(scale::drawable);
        let (low, high) =
            values.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        Linear::new(low, high, most)
    }

    pub(crate) fn about(&self) -> About<'_> {
        let span = self.span();
        let mut numbers = Table {
            columns: vec![
                Column::words(if self.unit.is_empty() { "value" } else { &self.unit }),
                Column::numbers("lowest"),
                Column::numbers("mean"),
                Column::numbers("highest"),
                Column::numbers("highest at"),
            ],
            ..Table::default()
        };
        let mut seen = match span {
            Some(span) => {
                format!("{} to {}. ", span.moment(span.start_us), span.moment(span.end_us))
            }
            None => String::new(),
        };
        let mut missing = 0;
        let mut row = |name: &str, points: &mut dyn Iterator<Item = (u64, f64)>| {
            let summary = Summary::of(points);
            missing += summary.missing;
            let told = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), self.format);
            let highest = told(summary.highest.map(|at| at.1));
            let at = summary.highest.zip(span);
            let at = at.map_or_else(|| NONE.to_owned(), |(highest, span)| span.moment(highest.0));
            let _ = write!(seen, "{name}: at most {highest}, at {at}. ");
            numbers.push([name.to_owned(), told(summary.lowest), told(summary.mean), highest, at]);
        };
        for series in &self.series {
            row(&series.name, &mut series.points.iter().copied());
        }
        for band in &self.bands {
            row(
                &format!("{}, lower", band.name),
                &mut band.points.iter().map(|point| (point.0, point.1)),
            );
            row(
                &format!("{}, upper", band.name),
                &mut band.points.iter().map(|point| (point.0, point.2)),
            );
        }
        About {
            title: &self.title,
            note: &self.note,
            seen,
            legend: self.entries(),
            labelled: true,
            missing,
            numbers,
            is_empty: span.is_none(),
        }
    }

    fn entries(&self) -> Vec<Entry<'_>> {
        let series = self.series.iter().map(|series| Entry {
            name: &series.name,
            colour: series.colour,
            swatch: match series.shape {
                Shape::Area => Swatch::Wash(1),
                Shape::Line | Shape::Steps => Swatch::Line("solid"),
                Shape::Dashed => Swatch::Line("dash"),
            },
        });
        let bands = self.bands.iter().enumerate().map(|(at, band)| {
            let below = self.bands[..at].iter().filter(|below| below.colour == band.colour);
            Entry { name: &band.name, colour: band.colour, swatch: Swatch::Wash(1 + below.count()) }
        });
        series.chain(bands).collect()
    }

    pub(crate) fn draw(&self, svg: &mut Svg, size: Size) -> f64 {
        let Some(span) = self.span() else { return 0.0 };
        let axis = self.axis(if size.is_phone() { 4 } else { 5 });
        let labels: Vec<String> = axis.ticks.iter().map(|tick| (self.format)(*tick)).collect();
        let left = labels.iter().map(|label| text::width(label, FONT)).fold(20.0, f64::max) + 10.0;
        // Names beside the lines, on a screen only.
        let names =
            self.entries().iter().map(|entry| text::width(entry.name, FONT)).fold(0.0, f64::max);
        let right = if size.is_phone() { 12.0 } else { (names + 34.0).min(200.0) };
        let plot = Area {
            x: left,
            y: 26.0,
            width: size.width() - left - right,
            height: if size.is_phone() { 190.0 } else { 250.0 },
        };
        // A second line of labels is only there where there are dates.
        let height = plot.bottom() + if span.is_clock() { 42.0 } else { 25.0 };
        let canvas = Canvas { plot, span, axis: &axis };

        svg.text(
            "soft",
            (0.0, 12.0),
            Anchor::Start,
            &text::shortened(&self.unit, FONT, size.width()),
        );
        for (tick, label) in axis.ticks.iter().zip(&labels) {
            let y = canvas.y(*tick);
            svg.line(if *tick == 0.0 { "axis" } else { "grid" }, (plot.x, y), (plot.right(), y));
            svg.text("soft", (plot.x - 8.0, y + 4.5), Anchor::End, label);
        }
        let most = (plot.width / 78.0) as u64;
        for tick in span.ticks(most) {
            let x = canvas.x(tick.at_us);
            svg.line("axis", (x, plot.bottom()), (x, plot.bottom() + 5.0));
            svg.text("soft", (x, plot.bottom() + 19.0), Anchor::Middle, &tick.label);
            if let Some(context) = tick.context {
                // The first may not have room to both sides.
                let half = text::width(&context, FONT) / 2.0;
                let x = x.max(half).min(size.width() - half);
                svg.text("soft bold", (x, plot.bottom() + 36.0), Anchor::Middle, &context);
            }
        }
        let mut ends = Vec::new();
        for band in &self.bands {
            ends.push(canvas.band(svg, band));
        }
        // Areas first, as those drawn later hide what is below.
        for series in &self.series {
            ends.push(canvas.series(svg, series));
        }
        if !size.is_phone() {
            self.names(svg, plot, &ends);
            self.readouts(svg, &canvas);
        }
        height
    }

    /// Writes the names beside where the lines end.
    fn names(&self, svg: &mut Svg, plot: Area, ends: &[Option<f64>]) {
        let bands = self.bands.iter().map(|band| (&band.name, band.colour));
        let all = bands.chain(self.series.iter().map(|series| (&series.name, series.colour)));
        let shown: Vec<_> = all
            .zip(ends)
            .filter_map(|((name, colour), end)| Some((name, colour, (*end)?)))
            .collect();
        let wanted: Vec<f64> = shown.iter().map(|(.., end)| *end).collect();
        let places = scale::spread(&wanted, 17.0, plot.y + 4.0, plot.bottom() - 2.0);
        let x = plot.right();
        for ((name, colour, end), place) in shown.into_iter().zip(places) {
            svg.line(&format!("leader {}", colour.class()), (x + 3.0, end), (x + 16.0, place));
            svg.text(
                "label",
                (x + 20.0, place + 4.5),
                Anchor::Start,
                &text::shortened(name, FONT, 176.0),
            );
        }
    }

    /// Lays places over the picture that tell when pointed at what is below them: the highest value of each series there, and
    /// from where to where a band goes.
    fn readouts(&self, svg: &mut Svg, canvas: &Canvas<'_>) {
        let Span { start_us, end_us } = canvas.span;
        let mut columns = vec![String::new(); READOUTS];
        let column =
            |at_us: u64| ((canvas.span.place(at_us) * READOUTS as f64) as usize).min(READOUTS - 1);
        for series in &self.series {
            let mut highest = [None::<f64>; READOUTS];
            for (at_us, value) in &series.points {
                if let Some(value) = scale::drawable(*value) {
                    let own = &mut highest[column(*at_us)];
                    *own = Some(own.map_or(value, |own| own.max(value)));
                }
            }
            for (told, value) in columns.iter_mut().zip(highest) {
                if let Some(value) = value {
                    let _ = write!(told, " · {} {}", series.name, (self.format)(value));
                }
            }
        }
        for band in &self.bands {
            let mut widest = [None::<(f64, f64)>; READOUTS];
            for (at_us, lower, upper) in &band.points {
                if let Some((lower, upper)) = scale::drawable(*lower).zip(scale::drawable(*upper)) {
                    let own = &mut widest[column(*at_us)];
                    *own = Some(
                        own.map_or((lower, upper), |own| (own.0.min(lower), own.1.max(upper))),
                    );
                }
            }
            for (told, edges) in columns.iter_mut().zip(widest) {
                if let Some((lower, upper)) = edges {
                    let _ = write!(
                        told,
                        " · {}: {} to {}",
                        band.name,
                        (self.format)(lower),
                        (self.format)(upper)
                    );
                }
            }
        }
        let width = canvas.plot.width / READOUTS as f64;
        for (number, values) in columns.iter().enumerate().filter(|(_, values)| !values.is_empty())
        {
            let into_us = ((end_us - start_us) as f64 / READOUTS as f64 * number as f64) as u64;
            let moment = canvas.span.moment(start_us.saturating_add(into_us).min(end_us));
            let area = Area { x: canvas.plot.x + width * number as f64, width, ..canvas.plot };
            svg.told_rect("readout", area, &format!("{moment}{values}"));
        }
    }
}

/// What a series comes to.
#[derive(Debug, Default)]
struct Summary {
    lowest: Option<f64>,
    mean: Option<f64>,
    highest: Option<(u64, f64)>,
    missing: usize,
}

impl Summary {
    fn of(points: &mut dyn Iterator<Item = (u64, f64)>) -> Self {
        let mut summary = Self::default();
        let mut count = 0.0;
        for (at_us, value) in points {
            let Some(value) = scale::drawable(value) else {
                summary.missing += 1;
                continue;
            };
            count += 1.0;
            summary.lowest = Some(summary.lowest.map_or(value, |lowest| lowest.min(value)));
            // Step by step, as the sum of large ones may be no number.
            summary.mean = Some(summary.mean.map_or(value, |mean| mean + (value - mean) / count));
            if summary.highest.is_none_or(|highest| highest.1 < value) {
                summary.highest = Some((at_us, value));
            }
        }
        summary
    }
}
