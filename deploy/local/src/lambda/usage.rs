//! What a process and its children have used, as Linux counts it.
//!
//! Elsewhere, and for a process that has just gone, there is nothing to read: then nothing is said.

use std::fs;

/// Clock ticks of `/proc/PID/stat` in a second: 100 on every Linux that Rust runs on (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;
/// Most processes of one environment that are looked at.
const PROCESSES_MAX: usize = 64;

/// Use of an environment's processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time, user and system, in milliseconds.
    pub(crate) cpu_ms: u64,
    /// Largest resident memory so far, in MiB, rounded up; each process's own peak added.
    pub(crate) memory_mib: u64,
}

/// Reads the use of `pid` and its descendants; none when it cannot be read.
pub(crate) fn of(pid: u32) -> Option<Usage> {
    let mut usage = None;
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&pid) = found.get(next).filter(|_| next < PROCESSES_MAX) {
        next += 1;
        if let Some(one) = one(pid) {
            let sum: &mut Usage = usage.get_or_insert_default();
            sum.cpu_ms += one.cpu_ms;
            sum.memory_mib += one.memory_mib;
        }
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    usage
}

fn one(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command in brackets may hold anything; what comes after it are numbers (proc(5), fields 3 on).
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let cpu_ms = (ticks(14)? + ticks(15)?) * 1000 / TICKS_PER_SECOND;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = peak.split_whitespace().next()?.parse().ok()?;
    Some(Usage { cpu_ms, memory_mib: kib.div_ceil(1024) })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_a_process_that_is_gone_nothing() {
        assert!(0 < of(std::process::id()).unwrap().memory_mib);
        assert_eq!(of(u32::MAX), None);
    }
}
