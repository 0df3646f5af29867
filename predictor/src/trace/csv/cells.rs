//! The cells of a row of CSV.

use crate::trace::Reason;

/// The cells of one row, as ranges of it; kept to be filled again.
#[derive(Debug, Default)]
pub(super) struct Cells {
    ends: Vec<usize>,
    unquoted: String,
}

impl Cells {
    /// Splits a row.
    pub(super) fn split<'a>(
        &'a mut self,
        line: &'a str,
    ) -> Result<impl Iterator<Item = &'a str>, Reason> {
        let Self { ends, unquoted } = self;
        ends.clear();
        unquoted.clear();
        // Commas that are in the text between two cells: none when they were taken out with the quotes.
        let gap = if line.contains('"') {
            unquote(line, ends, unquoted)?;
            0
        } else {
            ends.extend(
                line.bytes().enumerate().filter(|(_, byte)| *byte == b',').map(|(at, _)| at),
            );
            ends.push(line.len());
            1
        };
        let text = if gap == 0 { &unquoted[..] } else { line };
        let mut start = 0;
        Ok(ends.iter().map(move |end| {
            let cell = &text[start..*end];
            start = end + gap;
            cell
        }))
    }
}

/// Writes the cells of a row that has quotes one after another, and where each ends.
fn unquote(line: &str, ends: &mut Vec<usize>, out: &mut String) -> Result<(), Reason> {
    let mut rest = line;
    loop {
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let (inside, after) = quoted.split_once('"').ok_or(Reason::OpenQuote)?;
                out.push_str(inside);
                let Some(more) = after.strip_prefix('"') else {
                    rest = after;
                    break;
                };
                out.push('"');
                quoted = more;
            }
        }
        // What stands behind a closing quote, or a cell that has none.
        let (cell, after) =
            rest.split_once(',').map_or((rest, None), |(cell, after)| (cell, Some(after)));
        out.push_str(cell);
        ends.push(out.len());
        match after {
            Some(after) => rest = after,
            None => return Ok(()),
        }
    }
}
