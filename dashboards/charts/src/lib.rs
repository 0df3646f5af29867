//! Reports as one self-contained HTML page, with pictures as inline SVG.
//!
//! Pure: values in, a string out. The same page gives the same bytes. It needs no network, no script and no font, follows the
//! reader's choice of light or dark, and is made to be read on a screen, on a phone and on paper, with a keyboard, and by
//! those who hear it: each picture has a name, a description and its numbers as a table.
//!
//! It knows nothing of requests or planners: amounts come with a [`Format`] that writes their unit. Everything that is shown
//! is escaped. What is no number is never drawn or written; a picture says how many of its values were not.
//!
//! ```
//! use charts::{Colour, Key, Page, Reference, Row, Section, StackedBars, format};
//!
//! let costs = StackedBars {
//!     title: "Cost of the month".to_owned(),
//!     note: String::new(),
//!     format: format::usd,
//!     keys: vec![Key::new("Lambda", Colour::Orange), Key::new("Fargate", Colour::Blue)],
//!     rows: vec![
//!         Row::new("all-lambda", [131.0, 0.0]),
//!         Row::new("target-tracking", [0.0, 57.0]).emphasised(),
//!     ],
//!     reference: Some(Reference { name: "lower bound".to_owned(), amount: 31.0 }),
//! };
//! let page = Page {
//!     title: "What October would have cost".to_owned(),
//!     sections: vec![Section { heading: "api".to_owned(), blocks: vec![costs.into()] }],
//!     ..Page::default()
//! };
//! assert!(page.html().starts_with("<!doctype html>"));
//! ```

mod colour;
mod curves;
mod figure;
pub mod format;
mod grouped;
mod lines;
mod page;
mod rows;
mod scale;
mod split;
mod stacked;
mod svg;
mod table;
mod text;
mod thin;
mod time;

pub use colour::Colour;
pub use curves::{Curve, Curves, Goal, Stroke};
pub use figure::Figure;
pub use format::Format;
pub use grouped::Grouped;
pub use lines::{Band, Lines, Series, Shape};
pub use page::{Block, Page, Section, Tile};
pub use rows::{Key, Row};
pub use split::Split;
pub use stacked::{Reference, StackedBars};
pub use table::{Align, Cell, Column, Line, Table};
