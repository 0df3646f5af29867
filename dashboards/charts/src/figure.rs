//! A picture in a page: what it shows, its legend, its numbers.
//!
//! Each is drawn twice, for a screen and for a phone: one that is only made smaller cannot be read there. The style shows one
//! of the two.

use std::fmt::Write;

use crate::{
    colour::Colour, curves::Curves, grouped::Grouped, lines::Lines, split::Split,
    stacked::StackedBars, svg::Svg, table::Table, text::Escaped,
};

/// A picture.
#[derive(Debug, Clone)]
pub enum Figure {
    /// How something went over time.
    Lines(Lines),
    /// What each came to, and of what.
    StackedBars(StackedBars),
    /// How latencies are distributed.
    Curves(Curves),
    /// In which shares each divides.
    Split(Split),
    /// The same amount under several assumptions.
    Grouped(Grouped),
}

macro_rules! from {
    ($($kind:ident),*) => {
        $(impl From<$kind> for Figure {
            fn from(figure: $kind) -> Self {
                Self::$kind(figure)
            }
        })*
    };
}
from!(Lines, StackedBars, Curves, Split, Grouped);

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Screen,
    Phone,
}

impl Size {
    /// Returns the width of a picture in pixels.
    pub(crate) const fn width(self) -> f64 {
        match self {
            Self::Screen => 860.0,
            Self::Phone => 348.0,
        }
    }

    pub(crate) const fn is_phone(self) -> bool {
        matches!(self, Self::Phone)
    }
}

/// Text in a picture, in pixels.
pub(crate) const FONT: f64 = 13.0;

/// What a mark in the legend looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Swatch {
    /// A filled square.
    Fill,
    /// A square of the translucent colour of areas and bands, as often as they lie on each other.
    Wash(usize),
    /// A line, drawn as the class says: `solid`, `dash` or `dots`.
    Line(&'static str),
    /// A point of [`crate::grouped`].
    Point(usize),
}

/// An entry of the legend.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) colour: Colour,
    pub(crate) swatch: Swatch,
}

/// What a figure is made of, once for all sizes.
#[derive(Debug)]
pub(crate) struct About<'a> {
    pub(crate) title: &'a str,
    pub(crate) note: &'a str,
    /// What is seen, for those who do not see it.
    pub(crate) seen: String,
    pub(crate) legend: Vec<Entry<'a>>,
    /// Whether names stand beside what they name when there is room: a legend then only says it twice.
    pub(crate) labelled: bool,
    /// Values that were no numbers and are not drawn.
    pub(crate) missing: usize,
    pub(crate) numbers: Table,
    pub(crate) is_empty: bool,
}

impl Figure {
    fn about(&self) -> About<'_> {
        match self {
            Self::Lines(figure) => figure.about(),
            Self::StackedBars(figure) => figure.about(),
            Self::Curves(figure) => figure.about(),
            Self::Split(figure) => figure.about(),
            Self::Grouped(figure) => figure.about(),
        }
    }

    /// Draws it, and returns its height in pixels.
    fn draw(&self, svg: &mut Svg, size: Size) -> f64 {
        match self {
            Self::Lines(figure) => figure.draw(svg, size),
            Self::StackedBars(figure) => figure.draw(svg, size),
            Self::Curves(figure) => figure.draw(svg, size),
            Self::Split(figure) => figure.draw(svg, size),
            Self::Grouped(figure) => figure.draw(svg, size),
        }
    }

    /// Writes it; `id` is unique in the page.
    pub(crate) fn write(&self, out: &mut String, id: &str) {
        let about = self.about();
        let _ = write!(out, "<figure id=\"{id}\"><figcaption><h3>{}</h3>", Escaped(about.title));
        if !about.note.is_empty() {
            let _ = write!(out, "<p>{}</p>", Escaped(about.note));
        }
        out.push_str("</figcaption>");
        if about.is_empty {
            out.push_str("<p class=\"empty\">There is nothing to show.</p>");
        } else {
            legend(out, &about);
            for (size, class) in [(Size::Screen, "screen"), (Size::Phone, "phone")] {
                let mut svg = Svg::default();
                let height = self.draw(&mut svg, size).ceil();
                let _ = write!(
                    out,
                    "<svg class=\"{class}\" role=\"img\" aria-label=\"{}\" aria-describedby=\"{id}-{class}\" viewBox=\"0 0 {} \
                     {height}\"><desc id=\"{id}-{class}\">{}</desc>{}</svg>",
                    Escaped(about.title),
                    size.width(),
                    Escaped(&about.seen),
                    svg.body
                );
            }
        }
        if 0 < about.missing {
            let (values, are) =
                if about.missing == 1 { ("value", "is") } else { ("values", "are") };
            let _ = write!(
                out,
                "<p class=\"missing\">{} {values} {are} missing: not a number where one was expected.</p>",
                about.missing
            );
        }
        if !about.is_empty {
            out.push_str("<details><summary>The numbers</summary>");
            // Named, as a reader may come to it from a list of the page's tables.
            Table { caption: about.title.to_owned(), ..about.numbers }.write(out);
            out.push_str("</details>");
        }
        out.push_str("</figure>\n");
    }
}

fn legend(out: &mut String, about: &About<'_>) {
    if about.legend.is_empty() {
        return;
    }
    let class = if about.labelled { "legend labelled" } else { "legend" };
    let _ = write!(out, "<ul class=\"{class}\">");
    for Entry { name, colour, swatch } in &about.legend {
        let class = colour.class();
        out.push_str(
            "<li><svg aria-hidden=\"true\" width=\"22\" height=\"12\" viewBox=\"0 0 22 12\">",
        );
        let _ = match swatch {
            Swatch::Fill => write!(
                out,
                "<rect class=\"fill {class}\" x=\"5\" width=\"12\" height=\"12\" rx=\"2\"/>"
            ),
            Swatch::Wash(times) => {
                let wash = format!(
                    "<rect class=\"wash {class}\" x=\"2\" width=\"18\" height=\"12\" rx=\"2\"/>"
                );
                write!(out, "{}", wash.repeat(*times))
            }
            Swatch::Line(style) => {
                write!(out, "<path class=\"line {style} {class}\" d=\"M1 6h20\"/>")
            }
            Swatch::Point(number) => {
                let mut svg = Svg::default();
                crate::grouped::point(&mut svg, *number, *colour, (11.0, 6.0), None);
                write!(out, "{}", svg.body)
            }
        };
        let _ = write!(out, "</svg>{}</li>", Escaped(name));
    }
    out.push_str("</ul>");
}
