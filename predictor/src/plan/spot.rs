//! How many of a service's tasks may be on Spot.
//!
//! Spot is a third of the price and is taken back with two minutes' notice. What the operator wants at least, and what is
//! nearly certain to be needed (the tenth percentile of demand), stays on demand; of the tasks above that a share may be
//! on Spot. The next task is then on Spot as often as that share says, so that it pays at a lower utilisation.

use policies::cost::{FargateUsage, PriceBook, TaskSize, Terms, Usage};

/// Tasks on Spot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spot {
    /// Share of the tasks above those that stay on demand, 0 to 1.
    pub up_to: f64,
    /// What a task on Spot costs, of what one on demand does: see [`price_share`].
    pub price: f64,
}

/// How often a task is taken back, an hour. AWS publishes no rate for Fargate Spot. Assumed: once in twenty hours, which is
/// several hundred times the 5 % a month that its Spot Instance Advisor gives as EC2's average; at ten times as often, with
/// starts of a minute, Spot would cost 1 % more.
pub const INTERRUPTIONS_PER_HOUR: f64 = 0.05;

/// Returns what a task on Spot costs, of what one on demand does, when each interruption has another start to be paid for.
pub fn price_share(book: &PriceBook, task: TaskSize, paid_start_us: u64, terms: Terms) -> f64 {
    const HOUR_MS: u64 = 3_600_000;
    let usd = |spot| {
        let mut fargate = FargateUsage::default();
        fargate.add(task, spot, 1_000 * HOUR_MS);
        book.bill(&Usage { fargate, ..Usage::default() }, 0, terms).total().as_usd()
    };
    let starts = INTERRUPTIONS_PER_HOUR * paid_start_us as f64 / 3.6e9;
    usd(true) * (1.0 + starts) / usd(false)
}

impl Spot {
    fn share(&self) -> f64 {
        if self.up_to.is_finite() { self.up_to.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Returns what the next task is expected to cost, of what one on demand does; never more than that.
    pub(super) fn next_price(&self) -> f64 {
        let price = if self.price.is_finite() { self.price.clamp(0.0, 1.0) } else { 1.0 };
        1.0 - self.share() * (1.0 - price)
    }

    /// Returns how many of `tasks` may be on Spot when `certain` are to stay on demand.
    pub(super) fn tasks(&self, tasks: u32, certain: u32) -> u32 {
        (f64::from(tasks.saturating_sub(certain)) * self.share()) as u32
    }
}

#[cfg(test)]
mod tests {
    use policies::policy::Arch;

    use super::*;

    #[test]
    fn a_share_of_what_is_not_certain_may_be_on_spot() {
        let spot = Spot { up_to: 0.7, price: 0.3 };
        assert_eq!([10, 5, 4, 3].map(|tasks| spot.tasks(tasks, 4)), [4, 0, 0, 0]);
        assert!((spot.next_price() - 0.51).abs() < 1e-9);
        for absurd in [f64::NAN, f64::INFINITY, -1.0, 7.0] {
            let spot = Spot { up_to: absurd, price: absurd };
            assert!(spot.tasks(10, 4) <= 6 && (0.0..=1.0).contains(&spot.next_price()));
        }
    }

    #[test]
    fn interruptions_make_spot_hardly_dearer() {
        let task = TaskSize { arch: Arch::Arm64, cpu_units: 1024, memory_mib: 2048 };
        let price = |start_us| price_share(PriceBook::fallback(), task, start_us, Terms::default());
        // 0.01257667 over 0.0395 dollars an hour.
        assert!((price(0) - 0.3184).abs() < 1e-3, "{}", price(0));
        let minute = price(60_000_000) / price(0);
        assert!((minute - 1.000_833).abs() < 1e-5, "{minute}");
    }
}
