use aws_sdk_lambda::{
    operation::get_function_configuration::GetFunctionConfigurationOutput,
    types::{self, Architecture, SnapStartResponse},
};
use policies::policy::{Arch, ColdStart};

use super::{
    known::{Configuration, Provisioned, Reserved},
    *,
};
use crate::fixture;

fn declared() -> Lambda {
    fixture::policy(fixture::POLICY).services[0].lambda.clone().expect("it has a function")
}

fn answer(facts: Vec<Fact>) -> Answer {
    Answer {
        service: "film".into(),
        name: "film:live".to_owned(),
        facts,
        denied: Vec::new(),
        broken: None,
    }
}

/// What a reading finds of a version that runs.
fn active(memory_mib: u32, timeout: u64) -> Fact {
    Fact::Configuration(Configuration {
        state: State::Active,
        version: Some("3".to_owned()),
        memory_mib: Some(memory_mib),
        timeout: Some(Duration::from_secs(timeout)),
        arch: Some(Arch::X86_64),
        snap_start: Some(SnapStart::Off),
        ..Configuration::default()
    })
}

#[test]
fn states_of_the_api_have_a_meaning_each() {
    for (theirs, ours, offer) in [
        (Some("Active"), State::Active, Offer::All),
        (Some("Pending"), State::Pending, Offer::None),
        (Some("Inactive"), State::Inactive, Offer::One),
        (Some("Failed"), State::Failed, Offer::None),
        (Some("ActiveNonInvocable"), State::Deactivated, Offer::None),
        (Some("Deactivating"), State::Deactivated, Offer::None),
        (Some("Deactivated"), State::Deactivated, Offer::None),
        (Some("Deleting"), State::Deactivated, Offer::None),
        // What AWS may invent keeps nothing from running.
        (Some("Dreaming"), State::Unread, Offer::All),
        (None, State::Unread, Offer::All),
    ] {
        let output = GetFunctionConfigurationOutput::builder();
        let output = output.set_state(theirs.map(types::State::from)).build();
        let state = Configuration::from(&output).state;
        assert_eq!((state, state.offer()), (ours, offer), "{theirs:?}");
    }
    assert_eq!(State::Absent.offer(), Offer::None);
}

#[test]
fn snap_start_is_on_only_with_a_snapshot() {
    for (apply_on, status, expected) in [
        ("None", "Off", SnapStart::Off),
        ("PublishedVersions", "Off", SnapStart::NotOptimised),
        ("PublishedVersions", "On", SnapStart::On),
    ] {
        let snap_start = SnapStartResponse::builder()
            .apply_on(apply_on.into())
            .optimization_status(status.into())
            .build();
        let output = GetFunctionConfigurationOutput::builder().snap_start(snap_start);
        let output = output.memory_size(512).timeout(7).architectures(Architecture::X8664);
        let read = Configuration::from(&output.build());
        assert_eq!(read.snap_start, Some(expected));
        assert_eq!((read.memory_mib, read.arch), (Some(512), Some(Arch::X86_64)));
        assert_eq!(read.timeout, Some(Duration::from_secs(7)));
    }
    let senseless = GetFunctionConfigurationOutput::builder().memory_size(-1).timeout(0).build();
    let read = Configuration::from(&senseless);
    assert_eq!((read.memory_mib, read.timeout, read.arch), (None, None, None));
}

#[test]
fn the_cap_is_the_least_of_policy_reservation_and_account() {
    for (reserved, unreserved, cap) in [
        (Reserved::Unread, None, 10),
        // It may have more of its own than the others share.
        (Reserved::Unread, Some(5), 10),
        (Reserved::Nothing, None, 10),
        (Reserved::Nothing, Some(5), 5),
        (Reserved::Nothing, Some(900), 10),
        (Reserved::Only(3), Some(900), 3),
        (Reserved::Only(30), Some(5), 10),
        (Reserved::Only(0), Some(900), 0),
    ] {
        let known = Known { reserved, ..Known::default() };
        let real = known.real(&declared(), unreserved);
        assert_eq!(real.max_in_flight, cap, "{reserved:?} {unreserved:?}");
        assert_eq!(real, Lambda { max_in_flight: cap, ..declared() }, "the rest is assumed");
    }
}

#[test]
fn what_was_read_takes_the_place_of_what_is_assumed() {
    let policy = fixture::policy(fixture::POLICY);
    let now = Instant::now();
    let mut functions = Functions::new(&policy, now);
    assert!(functions.heard(answer(vec![active(512, 7), Fact::Unreserved(900)]), now));
    let real = functions.real(&policy);
    let lambda = real.services[0].lambda.as_ref().expect("it keeps its lane");
    assert_eq!((lambda.memory_mib, lambda.timeout.as_secs()), (512, 7));
    assert_eq!((lambda.arch, lambda.max_in_flight), (Arch::X86_64, 10));
    assert!(real.services[1].lambda.is_none());
    assert!(!functions.heard(answer(vec![active(512, 7)]), now), "nothing new");
    // Read in the place of what was read.
    assert!(functions.heard(answer(vec![active(1024, 7)]), now));
    assert_eq!(functions.real(&real).services[0].lambda.as_ref().unwrap().memory_mib, 1024);
    // Another policy keeps it, as long as it calls the same version or alias.
    functions.follow(&policy, now);
    assert_eq!(functions.states()["film"].real.memory_mib, 1024);
    let other = fixture::policy(&fixture::POLICY.replace("film:live", "film:next"));
    functions.follow(&other, now);
    assert_eq!(functions.states()["film"].real.memory_mib, 1769);
    assert!(!functions.heard(answer(vec![active(256, 7)]), now), "of the alias before");
}

#[test]
fn what_cannot_be_read_for_an_hour_stays_and_is_asked_ever_less_often() {
    let policy = fixture::policy(fixture::POLICY);
    let mut now = Instant::now();
    let mut functions = Functions::new(&policy, now);
    functions.heard(answer(vec![active(512, 7)]), now);
    let mut turns = 0;
    for _ in 0..3600 {
        now += Duration::from_secs(1);
        if functions.followed.get_mut("film").unwrap().pace.is_due(now) {
            turns += 1;
            functions.heard(Answer { broken: Some("down".into()), ..answer(Vec::new()) }, now);
        }
    }
    assert!((45..90).contains(&turns), "{turns} readings in an hour");
    let state = &functions.states()["film"];
    assert_eq!((state.real.memory_mib, state.error.as_deref()), (512, Some("down")));
    assert_eq!(state.known.configuration.state, State::Active);
    functions.hasten(now);
    assert!(!functions.followed.get_mut("film").unwrap().pace.is_due(now), "nothing hastens it");
}

#[test]
fn a_version_that_is_not_ready_is_looked_at_soon_and_one_that_is_forbidden_seldom() {
    let policy = fixture::policy(fixture::POLICY);
    let now = Instant::now();
    let mut functions = Functions::new(&policy, now);
    let mut check = |answer: Answer, least: Duration, most: Duration| {
        functions.heard(answer, now);
        let pace = &functions.followed["film"].pace;
        let pause = pace.at().expect("it goes on").duration_since(now);
        assert!((least.mul_f64(0.8)..=most.mul_f64(1.2)).contains(&pause), "{pause:?}");
        functions.offer("film")
    };
    let offer = check(answer(vec![Fact::Absent]), READ_SOON, READ_SOON);
    assert_eq!(offer, Offer::None);
    let offer = check(answer(vec![active(512, 7)]), READ_EVERY, READ_EVERY);
    assert_eq!(offer, Offer::All);
    let half = Provisioned { requested: 2, allocated: 1, available: 1 };
    check(answer(vec![Fact::Provisioned(Some(half))]), READ_SOON, READ_SOON);
    check(answer(vec![Fact::Provisioned(None)]), READ_EVERY, READ_EVERY);
    let denied = Answer { denied: vec!["lambda:GetAlias"], ..answer(Vec::new()) };
    check(denied, ASK_AGAIN, ASK_AGAIN);
    let error = functions.states()["film"].error.clone();
    assert_eq!(error.as_deref(), Some("not permitted: lambda:GetAlias"));
}

#[test]
fn disagreements_are_told_with_what_to_do() {
    let read = |snap_start| {
        let mut known = Known::default();
        known.learn(active(512, 7));
        known.configuration.snap_start = Some(snap_start);
        known
    };
    let route: (Arc<str>, Duration) = ("POST /thumb".into(), Duration::from_secs(30));
    let mut told = warn::warnings(&declared(), &read(SnapStart::Off), Some(0), Some(&route));
    let snap = Lambda { cold_start: ColdStart::SnapStart, memory_mib: 512, ..declared() };
    let snap = Lambda { timeout: Duration::from_secs(7), arch: Arch::X86_64, ..snap };
    let mut provisioned = read(SnapStart::On);
    provisioned.provisioned = Some(Provisioned { requested: 2, ..Provisioned::default() });
    for (lambda, known) in [
        (snap.clone(), read(SnapStart::Off)),
        (snap.clone(), read(SnapStart::NotOptimised)),
        (Lambda { qualifier: None, ..snap.clone() }, read(SnapStart::NotOptimised)),
        (snap.clone(), provisioned),
    ] {
        let warnings = warn::warnings(&lambda, &known, Some(900), None);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        told.extend(warnings);
    }
    insta::assert_snapshot!(told.join("\n"), @"
    the policy assumes memory 1769MiB, the function has 512MiB, which holds; mend `assume`
    the policy assumes timeout 30s, the function has 7s, which holds; mend `assume`
    the policy assumes arch arm64, the function has x86_64, which holds; mend `assume`
    requests of `POST /thumb` may take 30s (timeouts.total), but the function ends them after 7s; align them
    its reserved concurrency is 0, so Lambda refuses every call; raise it or remove it
    `cold_start: snapstart`, but SnapStart is off; turn it on and publish a version
    `cold_start: snapstart`, but this version has no snapshot; publish another one
    `cold_start: snapstart`, but `$LATEST` has no snapshot; call a version or an alias
    SnapStart and provisioned concurrency are both configured, and a version has one of them; choose
    ");
    assert!(warn::warnings(&snap, &read(SnapStart::On), Some(900), None).is_empty());
    assert!(
        warn::warnings(&snap, &Known::default(), None, Some(&route)).is_empty(),
        "of what was not read nothing is known"
    );
}
