//! One HTML page that stands alone: it asks for nothing, and runs nothing.
//!
//! The page says so itself, in a Content-Security-Policy: should a hostile name ever get past the escaping, the browser still
//! neither runs nor fetches what it says. There is no script: pointing at a mark tells what it is (`<title>`), and the numbers
//! of every picture are in a table below it.

use std::fmt::Write;

use crate::{figure::Figure, table::Table, text::Escaped};

pub(crate) const STYLE: &str = include_str!("page.css");

/// A whole page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// What it is, also in the window's title.
    pub title: String,
    /// What it comes to, in a sentence or two.
    pub lead: String,
    /// What nobody may overlook, in a box: `simulated`, `sample data`. Empty without one.
    pub notice: String,
    /// The few numbers that matter most.
    pub tiles: Vec<Tile>,
    /// In the order of reading; from two on, links to them stand at the top.
    pub sections: Vec<Section>,
    /// Where it came from: the program, its version, the command. May be empty.
    pub footer: String,
}

/// A part of the page under a heading.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// What it is about.
    pub heading: String,
    /// What it holds, from top to bottom.
    pub blocks: Vec<Block>,
}

/// What a section is made of.
#[derive(Debug, Clone)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// Short sentences, one a line: what is assumed, what is not sure.
    Notes(Vec<String>),
    /// Numbers that matter.
    Tiles(Vec<Tile>),
    /// A table.
    Table(Table),
    /// A picture.
    Figure(Figure),
}

impl From<Table> for Block {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

impl<F: Into<Figure>> From<F> for Block {
    fn from(figure: F) -> Self {
        Self::Figure(figure.into())
    }
}

/// A number that matters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tile {
    /// What it is.
    pub label: String,
    /// The number, with its unit.
    pub value: String,
    /// What it is compared with, or how it is known; may be empty.
    pub note: String,
}

impl Tile {
    /// A number, what it is, and what to know of it.
    pub fn new(
        label: impl Into<String>,
        value: impl Into<String>,
        note: impl Into<String>,
    ) -> Self {
        Self { label: label.into(), value: value.into(), note: note.into() }
    }
}

impl Page {
    /// Writes the page. Equal pages give equal bytes.
    #[must_use]
    pub fn html(&self) -> String {
        let mut out = String::with_capacity(1 << 16);
        let _ = write!(
            out,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"no-referrer\">\n\
             <link rel=\"icon\" href=\"data:,\"><title>{}</title>\n<style>\n{STYLE}</style></head><body>\n<main>\n<header><h1>{}</h1>",
            Escaped(&self.title),
            Escaped(&self.title)
        );
        if !self.lead.is_empty() {
            let _ = write!(out, "<p class=\"lead\">{}</p>", Escaped(&self.lead));
        }
        if !self.notice.is_empty() {
            let _ = write!(out, "<p class=\"notice\" role=\"note\">{}</p>", Escaped(&self.notice));
        }
        out.push_str("</header>\n");
        tiles(&mut out, &self.tiles);
        if 1 < self.sections.len() {
            out.push_str("<nav aria-label=\"On this page\"><ul>");
            for (at, section) in (1..).zip(&self.sections) {
                let _ =
                    write!(out, "<li><a href=\"#s{at}\">{}</a></li>", Escaped(&section.heading));
            }
            out.push_str("</ul></nav>\n");
        }
        for (at, section) in (1..).zip(&self.sections) {
            section.write(&mut out, at);
        }
        out.push_str("</main>\n");
        if !self.footer.is_empty() {
            let _ = writeln!(out, "<footer>{}</footer>", Escaped(&self.footer));
        }
        out.push_str("</body></html>\n");
        out
    }
}

impl Section {
    fn write(&self, out: &mut String, number: usize) {
        let _ = writeln!(
            out,
            "<section aria-labelledby=\"s{number}\"><h2 id=\"s{number}\">{}</h2>",
            Escaped(&self.heading)
        );
        for (at, block) in (1..).zip(&self.blocks) {
            match block {
                Block::Text(text) => {
                    let _ = writeln!(out, "<p>{}</p>", Escaped(text));
                }
                Block::Notes(notes) => {
                    out.push_str("<ul class=\"notes\">");
                    for note in notes {
                        let _ = write!(out, "<li>{}</li>", Escaped(note));
                    }
                    out.push_str("</ul>\n");
                }
                Block::Tiles(numbers) => tiles(out, numbers),
                Block::Table(table) => table.write(out),
                Block::Figure(figure) => figure.write(out, &format!("s{number}-{at}")),
            }
        }
        out.push_str("</section>\n");
    }
}

fn tiles(out: &mut String, tiles: &[Tile]) {
    if tiles.is_empty() {
        return;
    }
    out.push_str("<dl class=\"tiles\">");
    for Tile { label, value, note } in tiles {
        let _ = write!(out, "<div><dt>{}</dt><dd>{}</dd>", Escaped(label), Escaped(value));
        if !note.is_empty() {
            let _ = write!(out, "<dd class=\"note\">{}</dd>", Escaped(note));
        }
        out.push_str("</div>");
    }
    out.push_str("</dl>\n");
}
