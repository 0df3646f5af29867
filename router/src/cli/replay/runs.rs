//! Many replays side by side, as many at a time as there are processors.

use std::{
    io::{IsTerminal, Write},
    sync::Mutex,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

/// Does all jobs; results come in the order of the jobs.
pub(super) fn all<J: Sync, R: Send>(
    jobs: &[J],
    work: impl Fn(&J) -> Result<R, String> + Sync,
) -> anyhow::Result<Vec<R>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Mutex<Vec<Option<Result<R, String>>>> =
        Mutex::new(jobs.iter().map(|_| None).collect());
    let (begun, shown) = (Instant::now(), std::io::stderr().is_terminal());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                while let Some((number, job)) = {
                    let number = next.fetch_add(1, Relaxed);
                    jobs.get(number).map(|job| (number, job))
                } {
                    let result = work(job);
                    if let Ok(mut results) = results.lock() {
                        results[number] = Some(result);
                    }
                    let done = done.fetch_add(1, Relaxed) + 1;
                    if shown {
                        progress(done, jobs.len(), begun);
                    }
                }
            });
        }
    });
    if shown {
        eprint!("\r\x1b[K");
    }
    let results = results.into_inner().map_err(|_| anyhow::anyhow!("a replay broke off"))?;
    let results = results
        .into_iter()
        .map(|result| result.unwrap_or_else(|| Err("a replay broke off".into())));
    results.collect::<Result<_, _>>().map_err(|wrong| anyhow::anyhow!("a replay failed: {wrong}"))
}

/// Shows how far it is, and how long the rest will take if it goes on so.
fn progress(done: usize, all: usize, begun: Instant) {
    let elapsed = begun.elapsed().as_secs_f64();
    let left = elapsed / done as f64 * (all - done) as f64;
    let filled = done * 20 / all;
    let bar: String = (0..20).map(|at| if at < filled { '#' } else { '.' }).collect();
    let mut out = std::io::stderr().lock();
    // A line that cannot be shown is no reason to stop.
    let _ = write!(out, "\r\x1b[Kreplay {bar} {done}/{all}, {left:.0} s left");
    let _ = out.flush();
}
