//! Elements of a picture.
//!
//! Coordinates are written to a tenth of a pixel: finer is not seen, and a page holds many. What they are drawn in is said by
//! classes, so that the page's style decides for light, dark and paper.

use std::fmt::{self, Write};

use crate::text::Escaped;

/// A coordinate or length in pixels.
#[derive(Debug, Clone, Copy)]
struct Px(f64);

impl fmt::Display for Px {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Tenths(tenths(self.0)).fmt(out)
    }
}

/// Tenths of a pixel.
#[derive(Debug, Clone, Copy)]
struct Tenths(i64);

impl fmt::Display for Tenths {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            out.write_char('-')?;
        }
        match (self.0.unsigned_abs() / 10, self.0.unsigned_abs() % 10) {
            (whole, 0) => write!(out, "{whole}"),
            (0, tenth) => write!(out, ".{tenth}"),
            (whole, tenth) => write!(out, "{whole}.{tenth}"),
        }
    }
}

fn tenths(px: f64) -> i64 {
    debug_assert!(px.is_finite(), "nothing is drawn nowhere");
    // A cast of what is no number is zero: inside the picture.
    (px * 10.0).round() as i64
}

/// Which point of a text is at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A rectangle: its left upper corner, width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Area {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Area {
    pub(crate) fn right(self) -> f64 {
        self.x + self.width
    }

    pub(crate) fn bottom(self) -> f64 {
        self.y + self.height
    }
}

/// What is inside of a picture. Writing to a string cannot fail.
#[derive(Debug, Default)]
pub(crate) struct Svg {
    pub(crate) body: String,
}

impl Svg {
    pub(crate) fn rect(&mut self, class: &str, area: Area) {
        let Area { x, y, width, height } = area;
        let (x, y, width, height) = (Px(x), Px(y), Px(width.max(0.0)), Px(height.max(0.0)));
        let _ = write!(
            self.body,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\""
        );
        self.body.push_str("/>");
    }

    /// Draws a rectangle that tells what it is when pointed at.
    pub(crate) fn told_rect(&mut self, class: &str, area: Area, told: &str) {
        self.rect(class, area);
        self.body.truncate(self.body.len() - 2);
        let _ = write!(self.body, "><title>{}</title></rect>", Escaped(told));
    }

    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let mut path = Path::default();
        path.move_to(from);
        path.line_to(to);
        self.path(class, &path);
    }

    pub(crate) fn path(&mut self, class: &str, path: &Path) {
        let _ = write!(self.body, "<path class=\"{class}\" d=\"{}\"/>", path.commands);
    }

    /// Draws a path that tells what it is when pointed at.
    pub(crate) fn told_path(&mut self, class: &str, path: &Path, told: &str) {
        let _ = write!(
            self.body,
            "<path class=\"{class}\" d=\"{}\"><title>{}</title></path>",
            path.commands,
            Escaped(told)
        );
    }

    /// Writes text with its base line at `y`.
    pub(crate) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " mid",
            Anchor::End => " end",
        };
        let _ = write!(
            self.body,
            "<text class=\"{class}{anchor}\" x=\"{}\" y=\"{}\">{}</text>",
            Px(x),
            Px(y),
            Escaped(text)
        );
    }
}

/// A line of straight pieces, each written as what it adds to the one before.
#[derive(Debug, Default)]
pub(crate) struct Path {
    commands: String,
    at: (i64, i64),
}

impl Path {
    pub(crate) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    pub(crate) fn move_to(&mut self, (x, y): (f64, f64)) {
        self.at = (tenths(x), tenths(y));
        let _ = write!(self.commands, "M{} {}", Tenths(self.at.0), Tenths(self.at.1));
    }

    pub(crate) fn line_to(&mut self, (x, y): (f64, f64)) {
        let to = (tenths(x), tenths(y));
        // Rounded before subtracting, so that errors do not add up.
        let (dx, dy) = (to.0 - self.at.0, to.1 - self.at.1);
        self.at = to;
        let _ = match (dx, dy) {
            (0, 0) => Ok(()),
            (_, 0) => write!(self.commands, "h{}", Tenths(dx)),
            (0, _) => write!(self.commands, "v{}", Tenths(dy)),
            (_, ..0) => write!(self.commands, "l{}{}", Tenths(dx), Tenths(dy)),
            _ => write!(self.commands, "l{} {}", Tenths(dx), Tenths(dy)),
        };
    }

    /// Draws a dot where the path is, with a round line.
    pub(crate) fn dot(&mut self) {
        self.commands.push_str("h0");
    }

    pub(crate) fn close(&mut self) {
        self.commands.push('z');
    }

    /// Goes through all points, from where it is or from the first.
    pub(crate) fn through(&mut self, points: impl IntoIterator<Item = (f64, f64)>) {
        for point in points {
            if self.is_empty() { self.move_to(point) } else { self.line_to(point) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short_and_exact_to_a_tenth() {
        for (px, expected) in
            [(0.0, "0"), (0.04, "0"), (-0.05, "-.1"), (0.5, ".5"), (12.0, "12"), (-3.25, "-3.3")]
        {
            assert_eq!(Px(px).to_string(), expected);
        }
        let mut path = Path::default();
        path.through([(1.0, 2.0), (1.04, 2.0), (2.0, 1.0), (2.0, 3.5), (4.0, 3.5), (5.0, 4.0)]);
        assert_eq!(path.commands, "M1 2l1-1v2.5h2l1 .5");
    }

    #[test]
    fn rounding_does_not_add_up() {
        let mut path = Path::default();
        path.through((0..=1000).map(|at| (f64::from(at) * 0.333, 0.0)));
        assert_eq!(path.at, (3330, 0));
    }
}
