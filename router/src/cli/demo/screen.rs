//! Where the demo shows what it knows: in place on a terminal, a line now and then in a pipe.
//!
//! What a [`View`] says is its own; here it is only put where it belongs.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use super::view::View;

/// Puts views on standard output: in place on a terminal, a line now and then otherwise.
#[derive(Debug)]
pub(crate) struct Screen {
    in_place: bool,
    /// Lines that stand on the terminal and are drawn over next.
    drawn: usize,
}

impl Screen {
    /// Draws in place when standard output is a terminal and `plain` is not asked for.
    pub(crate) fn new(plain: bool) -> Self {
        Self { in_place: !plain && io::stdout().is_terminal(), drawn: 0 }
    }

    /// Returns how often to draw: twice a second where it moves in place, every 5 s where lines pile up.
    pub(crate) const fn every(&self) -> Duration {
        if self.in_place { Duration::from_millis(500) } else { Duration::from_secs(5) }
    }

    /// Prints lines that stay.
    pub(crate) fn print(&mut self, lines: &[String]) {
        let mut text = self.over();
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
        self.drawn = 0;
        put(&text);
    }

    /// Shows `view` in place of the one before.
    pub(crate) fn show(&mut self, view: &View) {
        if !self.in_place {
            put(&format!("{}\n", view.line()));
            return;
        }
        let lines = view.live();
        let mut text = self.over();
        // Without wrapping (DECAWM off): a narrow terminal cuts lines, and the count of lines stays true.
        text.push_str("\x1b[?7l");
        for line in &lines {
            let _ = writeln!(text, "{line}");
        }
        text.push_str("\x1b[?7h");
        self.drawn = lines.len();
        put(&text);
    }

    /// Returns what takes the cursor back over the drawn lines and clears them.
    fn over(&self) -> String {
        match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }
}

/// Writes to standard output; a reader that has gone (`| head`) does not stop the demo, which ends by its own clock.
fn put(text: &str) {
    let mut out = io::stdout().lock();
    let _gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
