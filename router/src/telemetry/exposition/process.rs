//! What the kernel knows about this process, for the `process_*` metrics.
//!
//! Read from `/proc/self`, so on Linux only; elsewhere these metrics are left out rather than guessed.

use std::fs;

/// Clock ticks a second in `/proc`: `USER_HZ`, which is 100 on every architecture that Linux runs Pacer on (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// One look at this process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: f64,
    pub(super) open_fds: f64,
    pub(super) start_time_seconds: f64,
    pub(super) threads: f64,
}

impl Process {
    /// Reads `/proc/self`; `None` where there is none.
    pub(super) fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let boot: f64 = number_after(&fs::read_to_string("/proc/stat").ok()?, "btime")?;
        let (cpu, start, threads) = of_stat(&stat)?;
        Some(Self {
            cpu_seconds: cpu / TICKS_PER_SECOND,
            resident_bytes: number_after(&status, "VmRSS:")? * 1024.0,
            open_fds: fs::read_dir("/proc/self/fd").ok()?.count() as f64,
            start_time_seconds: boot + start / TICKS_PER_SECOND,
            threads,
        })
    }
}

/// Returns processor time and start time in ticks, and the number of threads, from `/proc/self/stat`.
fn of_stat(stat: &str) -> Option<(f64, f64, f64)> {
    // The name in parentheses may hold anything, so fields are counted after the last one: it ends field 2 (proc(5)).
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some((field(14)? + field(15)?, field(22)?, field(20)?))
}

fn number_after(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 9 0 12345 1000 200 18446744073709551615";
        assert_eq!(of_stat(stat), Some((12.0, 12345.0, 9.0)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_threads_and_a_past() {
        let process = Process::read().unwrap();
        assert!(
            1e5 < process.resident_bytes && 1.0 <= process.threads && 3.0 <= process.open_fds,
            "{process:?}"
        );
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        assert!(
            (now - 3600.0 * 24.0 * 365.0..now + 60.0).contains(&process.start_time_seconds),
            "{process:?}"
        );
    }
}
