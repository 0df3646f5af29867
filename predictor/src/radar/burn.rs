//! More is late or fails than was promised, and lasts.
//!
//! Multi-window, multi-burn-rate alerts as Google's Site Reliability Workbook has them (chapter 5, table 5-8): a burn rate
//! of 14.4 over an hour spends 2 % of a budget of 30 days in it, 6 over six hours 5 %. The shorter window says that it still
//! lasts, so that a warning ends soon after the trouble does. The slowest row of that table looks at three days; here half
//! of the second one stands for it.

use super::{Action, Burns, Kind, Level, Warning, counted, lasting, number};

/// Burn rate, window that it is over, window that says it lasts, and how urgent it is.
const RULES: [(f64, usize, usize, Level); 3] =
    [(14.4, 2, 0, Level::Now), (6.0, 3, 1, Level::Soon), (3.0, 3, 1, Level::Watch)];

/// Misses below which nothing is said: of five requests at night one that fails is 20 %, and no crisis.
const FEWEST: f64 = 10.0;

/// The names of the windows.
const NAMES: [&str; 4] = ["5 min", "30 min", "1 h", "6 h"];

pub(super) fn warning(burns: &[Burns]) -> Option<Warning> {
    let worst =
        |a: &Warning, b: &Warning| a.level.cmp(&b.level).then(b.seconds.total_cmp(&a.seconds));
    burns.iter().filter_map(of).max_by(worst)
}

fn of(burns: &Burns) -> Option<Warning> {
    let (_, long, _, level) = RULES.into_iter().find(|&(rate, long, short, _)| {
        rate <= number(burns.rates[long])
            && rate <= number(burns.rates[short])
            && FEWEST <= number(burns.missed[long])
    })?;
    let rate = number(burns.rates[long]);
    let left = number(burns.left).min(1.0);
    let seconds = left * number(burns.window_s) / rate;
    let what = if burns.objective == "latency" { "are late" } else { "fail" };
    let spent = if left <= 0.0 {
        "the budget is spent".to_owned()
    } else {
        format!("{:.0} % of the budget is left, for {} like this", left * 100.0, lasting(seconds))
    };
    let says = format!(
        "{} {what} in {}: {} times as fast as the objective allows; {spent}",
        counted(number(burns.missed[long]), "request"),
        NAMES[long],
        super::plain(rate),
    );
    let warning = Warning { level, seconds, ..Warning::new(Kind::ErrorBudget, 0.0, says) };
    let evidence = [
        ("burn_5m", burns.rates[0]),
        ("burn_30m", burns.rates[1]),
        ("burn_1h", burns.rates[2]),
        ("burn_6h", burns.rates[3]),
        ("missed", burns.missed[long]),
        ("left", left),
    ];
    let action =
        "see which lane and route: `pacer status`, `/decisions`, `pacer_objective_missed_total`";
    Some(warning.by(&evidence).act(Action::Proposed(action.to_owned())))
}
