//! How long replacements are held back while tasks keep failing.

use std::time::Duration;

/// Delay of a replacement after one failure, doubled with each more, divided by the time scale: ECS throttles tasks
/// that keep failing, without saying how.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The longest and the shortest such delay; the shortest is real time, whatever the time scale.
const RETRY_DELAY_MAX: Duration = Duration::from_mins(1);
const RETRY_DELAY_MIN: Duration = Duration::from_millis(20);

/// How long the next task is held back after `failures` in a row: `1 s x 2^(failures - 1)`, so 4 s after three.
pub(super) fn delay(failures: u32, shrink: impl Fn(Duration) -> Duration) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    // 2^6 s is above the longest delay.
    let nominal = RETRY_DELAY * (1 << (failures - 1).min(6));
    shrink(nominal.min(RETRY_DELAY_MAX)).max(RETRY_DELAY_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_slow_down_as_tasks_keep_dying() {
        let after = |failures, scale: u32| delay(failures, |nominal| nominal / scale).as_millis();
        assert_eq!((after(0, 1), after(1, 1), after(3, 1), after(99, 1)), (0, 1000, 4000, 60_000));
        assert_eq!(after(1, 1000), 20);
    }
}
