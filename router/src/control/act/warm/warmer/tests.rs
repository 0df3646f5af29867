use policies::cost::PicoUsd;

use super::*;
use crate::fixture;

const WARM: Answer = Answer::Warm { cold: true };

/// A warmer whose round is under way.
fn warmer(planned: u32) -> (Warmer, Instant) {
    let lambda = fixture::policy(fixture::POLICY).services[0].lambda.clone().unwrap();
    let now = Instant::now();
    let mut warmer = Warmer::new("film".into(), &lambda, PriceBook::fallback(), 1.0, false, now);
    warmer.planned = planned;
    assert!(warmer.rounds.is_due(now));
    (warmer, now)
}

fn hear(warmer: &mut Warmer, answers: &[Answer], now: Instant) -> Option<Deed> {
    let took = |answer: &Answer| (answer.clone(), Duration::from_millis(200));
    let answers: Vec<_> = answers.iter().map(took).collect();
    warmer.heard(&answers, now, SystemTime::UNIX_EPOCH)
}

fn throttled() -> Answer {
    Answer::Throttled("TooManyRequestsException: Rate exceeded".to_owned())
}

#[test]
fn the_first_answer_of_the_adapter_has_the_others_sent_at_once() {
    let (mut warmer, now) = warmer(3);
    assert!(hear(&mut warmer, &[WARM], now).is_none());
    assert!(warmer.proven && warmer.rounds.is_due(now));
    let deed = hear(&mut warmer, &[WARM, WARM, WARM], now).unwrap();
    assert!(deed.what.starts_with("3 warm; 4 invokes since told last started 4"), "{deed:?}");
    // The next comes before any environment is taken down, and is not told of each time.
    assert!(!warmer.rounds.is_due(now + KEEP_ALIVE / 3));
    assert!(warmer.rounds.is_due(now + KEEP_ALIVE * 2 / 3));
    assert!(hear(&mut warmer, &[WARM, WARM, WARM], now + KEEP_ALIVE / 2).is_none());
}

#[test]
fn one_answer_that_is_not_the_adapters_stops_all_until_another_policy() {
    for foreign in [Answer::Foreign, Answer::Broken("Unhandled: KeyError".to_owned())] {
        let (mut warmer, now) = warmer(3);
        let deed = hear(&mut warmer, &[foreign], now).unwrap();
        assert!(deed.error.unwrap().contains("run it behind pacer-adapter"));
        assert!(warmer.left_alone);
        let lambda = warmer.lambda.clone();
        warmer.follow(&lambda, 0, now);
        assert!(warmer.left_alone, "the same policy");
        warmer.follow(&lambda, 1, now);
        assert!(!warmer.left_alone && warmer.rounds.is_due(now));
    }
}

#[test]
fn an_environment_that_fails_to_start_is_no_proof_against_an_adapter_that_answered() {
    let (mut warmer, now) = warmer(3);
    hear(&mut warmer, &[WARM], now);
    assert!(warmer.rounds.is_due(now));
    let broken = Answer::Broken("Unhandled: Runtime.ExitError".to_owned());
    let deed = hear(&mut warmer, &[WARM, broken], now).unwrap();
    assert!(deed.error.is_some() && !warmer.left_alone);
    assert!(!warmer.rounds.is_due(now + Duration::from_secs(1)), "it backs off");
}

#[test]
fn failures_back_off_and_are_told_once() {
    let (mut warmer, mut now) = warmer(3);
    assert!(hear(&mut warmer, &[throttled()], now).unwrap().error.is_some());
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let due = warmer.rounds.at().unwrap();
        pauses.push(due - now);
        now = due;
        assert!(warmer.rounds.is_due(now));
        assert!(hear(&mut warmer, &[throttled()], now).is_none());
    }
    assert!(pauses[0] * 4 < pauses[3], "{pauses:?}");
    assert_eq!(warmer.spend.spent(), PicoUsd::ZERO, "throttles are free");
}

#[test]
fn what_failed_on_its_way_is_taken_as_paid_for() {
    let (mut warmer, now) = warmer(3);
    hear(&mut warmer, &[Answer::Failed("dispatch failure".to_owned())], now);
    let one = cost(PriceBook::fallback(), &warmer.lambda, Duration::from_millis(200), true);
    assert_eq!(warmer.spend.spent(), one);
    assert!(PicoUsd::ZERO < one);
}
