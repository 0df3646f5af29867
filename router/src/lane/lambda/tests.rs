use super::*;
use crate::fixture;

fn function() -> Arc<Function> {
    let policy = fixture::policy(fixture::POLICY);
    let endpoint = Endpoint::parse("http://127.0.0.1:1").unwrap();
    Arc::new(Function::new(policy.services[0].lambda.as_ref().unwrap(), endpoint))
}

#[test]
fn warm_ups_stay_within_the_cap_and_no_request_is_refused_for_them() {
    let function = function();
    let requests: Vec<_> = (0..4).map(|_| function.enter(false).unwrap()).collect();
    assert!(function.warm_up(7).is_none(), "four of ten are in flight");
    let warming = function.warm_up(6).unwrap();
    assert!(function.warm_up(1).is_none());
    let more: Vec<_> = (0..6).map(|_| function.enter(false).unwrap()).collect();
    assert!(function.enter(false).is_err(), "the cap is that of requests");
    drop((warming, requests, more));
    assert!(function.warm_up(10).is_some());
}

#[test]
fn what_began_and_the_most_at_once_are_told_once() {
    let function = function();
    let one = function.enter(false).unwrap();
    drop(function.enter(false).unwrap());
    let _warming = function.warm_up(3).unwrap();
    assert_eq!(function.take_asked(), (2, 2));
    assert_eq!(function.take_asked(), (0, 1), "one is still in flight");
    drop(one);
    function.take_asked();
    assert_eq!(function.take_asked(), (0, 0));
}
