//! The radar of a whole control loop's knowledge is tested against the real binary; here is what it remembers.

use predictor::radar::Burns;

use super::*;

#[test]
fn of_several_objectives_the_one_that_is_kept_worst_counts() {
    let burns = |objective, left, rate| Burns {
        objective,
        window_s: 3_600.0,
        left,
        rates: [rate, 1.0, 1.0, 1.0],
        missed: [1.0; 4],
    };
    let budget = worst(&[burns("latency", 0.9, 2.0), burns("success", 0.4, 1.5)], 60).unwrap();
    assert!((budget.left - 0.4).abs() < 1e-9 && (budget.burn[0] - 2.0).abs() < 1e-9, "{budget:?}");
    assert_eq!((budget.window_s, budget.seen_s), (3_600, 60));
    assert_eq!(worst(&[], 0), None);
}
