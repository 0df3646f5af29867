//! How series and bands are drawn.

use super::{Band, Series, Shape};
use crate::{
    scale::Linear,
    svg::{Area, Path, Svg},
    thin::{Thinned, thin},
    time::Span,
};

/// Where moments and values are.
pub(super) struct Canvas<'a> {
    pub(super) plot: Area,
    pub(super) span: Span,
    pub(super) axis: &'a Linear,
}

impl Canvas<'_> {
    pub(super) fn x(&self, at_us: u64) -> f64 {
        self.plot.x + self.span.place(at_us) * self.plot.width
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.plot.bottom() - self.axis.place(value) * self.plot.height
    }

    fn thinned(&self, points: impl Iterator<Item = (u64, f64)>) -> Thinned {
        let mut points: Vec<(u64, f64)> = points.collect();
        points.sort_by_key(|point| point.0);
        thin(points.into_iter().map(|(at_us, value)| (self.x(at_us), value)))
    }

    /// Draws a series, and returns how high it ends.
    pub(super) fn series(&self, svg: &mut Svg, series: &Series) -> Option<f64> {
        let colour = series.colour.class();
        let mut end = None;
        for stretch in self.thinned(series.points.iter().copied()).stretches {
            let mut corners: Vec<(f64, f64)> = Vec::with_capacity(stretch.len());
            for (x, value) in stretch {
                let y = self.y(value);
                if let Some(last) = corners.last().filter(|_| series.shape == Shape::Steps) {
                    corners.push((x, last.1));
                }
                corners.push((x, y));
            }
            let (Some(first), Some(last)) = (corners.first(), corners.last()) else { continue };
            end = Some(last.1);
            if series.shape == Shape::Area {
                let zero = self.y(0.0);
                let mut area = Path::default();
                area.move_to((first.0, zero));
                area.through(corners.iter().copied().chain([(last.0, zero)]));
                area.close();
                svg.path(&format!("wash {colour}"), &area);
            }
            let mut line = Path::default();
            line.through(corners.iter().copied());
            if corners.len() == 1 {
                line.dot();
            }
            let style = match series.shape {
                Shape::Area => "thin",
                Shape::Line | Shape::Steps => "solid",
                Shape::Dashed => "dash",
            };
            svg.path(&format!("line {style} {colour}"), &line);
        }
        end
    }

    /// Draws a band, and returns how high it ends: a little below its upper edge, where it is not yet the next one within.
    pub(super) fn band(&self, svg: &mut Svg, band: &Band) -> Option<f64> {
        // Both or none: where one edge is missing, so is the band.
        let both = |point: &(u64, f64, f64)| {
            if (point.1 + point.2).is_finite() { *point } else { (point.0, f64::NAN, f64::NAN) }
        };
        let lower = self.thinned(band.points.iter().map(both).map(|point| (point.0, point.1)));
        let upper = self.thinned(band.points.iter().map(both).map(|point| (point.0, point.2)));
        let mut end = None;
        for (lower, upper) in lower.stretches.iter().zip(&upper.stretches) {
            let place = |(x, value): &(f64, f64)| (*x, self.y(*value));
            let mut outline = Path::default();
            outline.through(upper.iter().map(place).chain(lower.iter().rev().map(place)));
            outline.close();
            let line = if lower.len() == 1 { "line thin" } else { "band" };
            svg.path(&format!("wash {line} {}", band.colour.class()), &outline);
            if let (Some(lower), Some(upper)) = (lower.last(), upper.last()) {
                end = Some(place(lower).1 * 0.15 + place(upper).1 * 0.85);
            }
        }
        end
    }
}
