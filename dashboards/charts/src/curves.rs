//! How latencies are distributed: the latency that each share of the requests does not exceed.
//!
//! Percentiles to the right, each nine as far from the one before it, and latency upwards: so a platform engineer knows it
//! from HdrHistogram, and reads the percentiles of an objective straight off. What happens in the last hundredth is a third
//! of the picture, as it is the part that pages people.

use std::fmt::Write;

use crate::{
    colour::Colour,
    figure::{About, Entry, FONT, Size, Swatch},
    format::{NONE, duration_us},
    scale::{self, Latency},
    svg::{Anchor, Area, Path, Svg},
    table::{Column, Table},
    text,
};

/// How a curve's line is drawn: what tells it from others apart from its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stroke {
    /// Unbroken.
    #[default]
    Solid,
    /// Of dashes.
    Dashed,
    /// Of dots.
    Dotted,
}

impl Stroke {
    const fn class(self) -> &'static str {
        match self {
            Self::Solid => "solid",
            Self::Dashed => "dash",
            Self::Dotted => "dots",
        }
    }
}

/// One distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Whose it is.
    pub name: String,
    /// What it is drawn in.
    pub colour: Colour,
    /// How its line is drawn.
    pub stroke: Stroke,
    /// Whether it is the one to look at.
    pub emphasis: bool,
    /// A share of the requests from 0 to 1, and the latency in microseconds that it does not exceed: at
    /// [`Curves::QUANTILES`]. In any order. What is no number is not drawn, which is said.
    pub points: Vec<(f64, f64)>,
    /// How many requests it is made of: beyond the share of one of them there is nothing to show.
    pub requests: u64,
}

/// Latency by percentile, on logarithmic axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// What is shown.
    pub title: String,
    /// What to see in it; may be empty.
    pub note: String,
    /// The distributions; drawn in this order.
    pub curves: Vec<Curve>,
    /// What was promised.
    pub goal: Option<Goal>,
}

/// What a curve is held to.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// What it is called: `goal`.
    pub name: String,
    /// The share of the requests that it is about, from 0.5 to 0.9999; a curve keeps the goal if it is not above it there.
    pub quantile: f64,
    /// What they may take, in microseconds; if it is no number or not above zero it is not drawn, which is said.
    pub latency_us: f64,
}

impl Goal {
    fn told(&self) -> String {
        format!(
            "{} at {}: {}",
            self.name,
            scale::quantile_name(self.quantile),
            duration_us(self.latency_us)
        )
    }
}

/// Where the axis is marked.
const MARKS: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 0.9999];

impl Curves {
    /// Where a distribution is asked for its latency: from the median on, eight places to a nine.
    pub const QUANTILES: [f64; 31] = [
        0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.94, 0.955, 0.965, 0.975, 0.98, 0.985, 0.99,
        0.9925, 0.994, 0.9955, 0.9965, 0.9975, 0.998, 0.9985, 0.999, 0.999_25, 0.9994, 0.999_55,
        0.999_65, 0.999_75, 0.9998, 0.999_85, 0.9999,
    ];

    fn goal(&self) -> Option<&Goal> {
        let valid = |goal: &&Goal| {
            let within = MARKS[0] <= goal.quantile && goal.quantile <= MARKS[4];
            within && scale::drawable(goal.latency_us).is_some_and(|us| 0.0 < us)
        };
        self.goal.as_ref().filter(valid)
    }

    /// Counts what is no number, where there are requests enough to know.
    fn missing(&self) -> usize {
        let of = |curve: &Curve| {
            curve.points.iter().filter(|point| drawn(curve, **point).is_err()).count()
        };
        let goal = usize::from(self.goal.is_some() && self.goal().is_none());
        self.curves.iter().map(of).sum::<usize>() + goal
    }

    pub(crate) fn about(&self) -> About<'_> {
        let mut columns = vec![Column::words("latency")];
        columns.extend(MARKS.iter().map(|mark| Column::numbers(scale::quantile_name(*mark))));
        let mut numbers = Table { columns, ..Table::default() };
        let mut seen = String::new();
        for curve in &self.curves {
            let points = points(curve);
            let told = |mark: &f64| at(&points, *mark).map_or_else(|| NONE.to_owned(), duration_us);
            let cells: Vec<String> = MARKS.iter().map(told).collect();
            let _ = write!(seen, "{}: p50 {}, p99 {}. ", curve.name, cells[0], cells[2]);
            numbers.push([curve.name.clone()].into_iter().chain(cells)).emphasis = curve.emphasis;
        }
        if let Some(goal) = self.goal() {
            let _ = write!(seen, "{}.", goal.told());
        }
        About {
            title: &self.title,
            note: &self.note,
            seen,
            legend: self
                .curves
                .iter()
                .map(|curve| Entry {
                    name: &curve.name,
                    colour: curve.colour,
                    swatch: Swatch::Line(curve.stroke.class()),
                })
                .collect(),
            labelled: true,
            missing: self.missing(),
            numbers,
            is_empty: self.curves.iter().all(|curve| points(curve).is_empty()),
        }
    }

    pub(crate) fn draw(&self, svg: &mut Svg, size: Size) -> f64 {
        let curves: Vec<(&Curve, Vec<(f64, f64)>)> =
            self.curves.iter().map(|curve| (curve, points(curve))).collect();
        let latencies = curves.iter().flat_map(|(_, points)| points.iter().map(|point| point.1));
        let latencies = latencies.chain(self.goal().map(|goal| goal.latency_us));
        let (low, high) =
            latencies.fold((f64::INFINITY, 0.0_f64), |(low, high), us| (low.min(us), high.max(us)));
        let axis = Latency::new(low, high, if size.is_phone() { 6 } else { 8 });
        let names =
            self.curves.iter().map(|curve| text::width(&curve.name, FONT)).fold(0.0, f64::max)
                * 1.06;
        let left =
            axis.ticks.iter().map(|(_, label)| text::width(label, FONT)).fold(20.0, f64::max)
                + 10.0;
        let right = if size.is_phone() { 20.0 } else { (names + 34.0).min(210.0) };
        let plot = Area {
            x: left,
            y: 26.0,
            width: size.width() - left - right,
            height: if size.is_phone() { 220.0 } else { 290.0 },
        };
        let x = |quantile: f64| {
            let (first, last) = (scale::nines(MARKS[0]), scale::nines(MARKS[4]));
            plot.x + (scale::nines(quantile) - first) / (last - first) * plot.width
        };
        let y = |us: f64| plot.bottom() - axis.place(us) * plot.height;

        svg.text("soft", (0.0, 12.0), Anchor::Start, "latency");
        for (us, label) in &axis.ticks {
            svg.line("grid", (plot.x, y(*us)), (plot.right(), y(*us)));
            svg.text("soft", (plot.x - 8.0, y(*us) + 4.5), Anchor::End, label);
        }
        svg.line("axis", (plot.x, plot.bottom()), (plot.right(), plot.bottom()));
        for mark in MARKS {
            svg.line("grid", (x(mark), plot.y), (x(mark), plot.bottom()));
            svg.text(
                "soft",
                (x(mark), plot.bottom() + 19.0),
                Anchor::Middle,
                &scale::quantile_name(mark),
            );
        }
        let told = if size.is_phone() {
            "share of requests as fast or faster"
        } else {
            "share of requests that are as fast or faster; each step has ten times fewer slower ones"
        };
        svg.text("soft", (plot.x + plot.width / 2.0, plot.bottom() + 38.0), Anchor::Middle, told);
        if let Some(goal) = self.goal() {
            let at = (x(goal.quantile), y(goal.latency_us));
            svg.line("reference", (plot.x, at.1), at);
            svg.line("reference", at, (at.0, plot.bottom()));
        }
        // Those to look at above all others.
        let mut ends = vec![None; curves.len()];
        for emphasis in [false, true] {
            for (number, (curve, points)) in
                curves.iter().enumerate().filter(|(_, (curve, _))| curve.emphasis == emphasis)
            {
                let mut path = Path::default();
                path.through(points.iter().map(|(quantile, us)| (x(*quantile), y(*us))));
                if path.is_empty() {
                    continue;
                }
                if points.len() == 1 {
                    path.dot();
                }
                let strong = if emphasis { " strong" } else { "" };
                let class =
                    format!("line {}{strong} {}", curve.stroke.class(), curve.colour.class());
                svg.told_path(&class, &path, &curve.name);
                ends[number] = points.last().map(|(quantile, us)| (x(*quantile), y(*us)));
            }
        }
        if let Some(goal) = self.goal() {
            let mut point = Path::default();
            point.move_to((x(goal.quantile), y(goal.latency_us)));
            point.dot();
            svg.told_path("goal", &point, &goal.told());
            let above = if y(goal.latency_us) < plot.y + 18.0 { 17.0 } else { -7.0 };
            let at = (plot.x + 6.0, y(goal.latency_us) + above);
            svg.text("label halo", at, Anchor::Start, &goal.told());
        }
        if !size.is_phone() {
            names_beside(svg, plot, &curves, &ends);
        }
        plot.bottom() + 46.0
    }
}

fn names_beside(
    svg: &mut Svg,
    plot: Area,
    curves: &[(&Curve, Vec<(f64, f64)>)],
    ends: &[Option<(f64, f64)>],
) {
    let shown: Vec<(&Curve, (f64, f64))> =
        curves.iter().zip(ends).filter_map(|((curve, _), end)| Some((*curve, (*end)?))).collect();
    let wanted: Vec<f64> = shown.iter().map(|(_, end)| end.1).collect();
    let places = scale::spread(&wanted, 17.0, plot.y + 4.0, plot.bottom() - 2.0);
    let right = plot.right();
    for ((curve, end), place) in shown.into_iter().zip(places) {
        svg.line(
            &format!("leader {}", curve.colour.class()),
            (end.0.max(right) + 3.0, end.1),
            (right + 16.0, place),
        );
        let bold = if curve.emphasis { " bold" } else { "" };
        let name = text::shortened(&curve.name, FONT, 186.0);
        svg.text(&format!("label{bold}"), (right + 20.0, place + 4.5), Anchor::Start, &name);
    }
}

/// Returns whether a point is drawn; an error if it is no number.
fn drawn(curve: &Curve, (quantile, us): (f64, f64)) -> Result<bool, ()> {
    if !quantile.is_finite() || !us.is_finite() || us < 0.0 {
        return Err(());
    }
    // A request in a thousand has no p99.99. Compared with some slack: 1 - 0.999 is a little more than a thousandth.
    let known = 1.0 <= (1.0 - quantile) * curve.requests as f64 * (1.0 + 1e-9);
    Ok(known && (MARKS[0]..=MARKS[4]).contains(&quantile))
}

/// Returns what is drawn of a curve, from left to right; what took no time is drawn as a microsecond, the end of the scale.
fn points(curve: &Curve) -> Vec<(f64, f64)> {
    let known = |point: &&(f64, f64)| drawn(curve, **point) == Ok(true);
    let mut points: Vec<(f64, f64)> =
        curve.points.iter().filter(known).map(|(quantile, us)| (*quantile, us.max(1.0))).collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    points
}

/// Returns the latency at a quantile that was given, or on the line between those that were.
fn at(points: &[(f64, f64)], quantile: f64) -> Option<f64> {
    let after = points.iter().position(|point| quantile - 1e-9 <= point.0)?;
    let (upper, us) = points[after];
    if (upper - quantile).abs() < 1e-9 || after == 0 {
        return (upper - quantile).abs().lt(&1e-9).then_some(us);
    }
    let (lower, below) = points[after - 1];
    let share = (scale::nines(quantile) - scale::nines(lower))
        / (scale::nines(upper) - scale::nines(lower));
    Some(below * (us / below).powf(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: Vec<(f64, f64)>, requests: u64) -> Curve {
        let name = "planner".to_owned();
        Curve {
            name,
            colour: Colour::Blue,
            stroke: Stroke::Solid,
            emphasis: false,
            points,
            requests,
        }
    }

    #[test]
    fn a_few_requests_have_no_far_percentiles() {
        let all: Vec<(f64, f64)> =
            Curves::QUANTILES.iter().map(|quantile| (*quantile, 1e3)).collect();
        for (requests, last) in
            [(0, None), (2, Some(0.5)), (1_000, Some(0.999)), (1_000_000, Some(0.9999))]
        {
            let points = points(&curve(all.clone(), requests));
            assert_eq!(points.last().map(|point| point.0), last, "{requests}");
        }
    }

    #[test]
    fn latencies_between_points_are_on_the_line_that_is_drawn() {
        let points = [(0.9, 1e3), (0.999, 1e5)];
        for (quantile, us) in
            [(0.9, Some(1e3)), (0.99, Some(1e4)), (0.999, Some(1e5)), (0.5, None), (0.9999, None)]
        {
            match (at(&points, quantile), us) {
                (Some(own), Some(us)) => {
                    assert!((own / us - 1.0).abs() < 1e-6, "{quantile}: {own}");
                }
                (own, us) => assert_eq!(own, us, "{quantile}"),
            }
        }
    }

    #[test]
    fn the_grid_of_quantiles_holds_every_mark() {
        assert!(Curves::QUANTILES.is_sorted());
        assert!(MARKS.iter().all(|mark| Curves::QUANTILES.contains(mark)));
    }
}
