//! Announced events: each by the index of its service, none in the way of another.

use std::sync::Arc;

use crate::{
    policy::{Event, ServiceId},
    problem::{Place, did_you_mean},
    spec::{
        event::EventSpec,
        fields::{Sink, Written},
        service::ServiceSpec,
    },
};

/// Builds all events, those of each service in order of time; one that cannot be built is left out, and noted.
///
/// With `incomplete`, services that nobody defines are not noted: they may stand in a file that could not be read.
pub(super) fn build(
    written: &[EventSpec],
    services: &[ServiceSpec],
    incomplete: bool,
    sink: &Sink,
) -> Arc<[Event]> {
    let mut events: Vec<(Event, &EventSpec)> = written
        .iter()
        .filter_map(|spec| Some((event(spec, services, incomplete, sink)?, spec)))
        .collect();
    events.sort_by_key(|(event, _)| (event.service, event.from_s));
    check_overlaps(&events, sink);
    events.into_iter().map(|(event, _)| event).collect()
}

fn event(
    spec: &EventSpec,
    services: &[ServiceSpec],
    incomplete: bool,
    sink: &Sink,
) -> Option<Event> {
    let service = spec.service.as_ref().and_then(|name| service(name, services, incomplete, sink));
    if let (Some(from), Some(until)) = (&spec.from_s, &spec.until_s)
        && until.value <= from.value
    {
        until.problem(sink, "is not after `from`; swap them, or mend one");
        return None;
    }
    let seconds = |when: &Option<Written<i64>>| {
        let when = when.as_ref()?;
        let seconds = u64::try_from(when.value);
        if seconds.is_err() {
            when.problem(sink, "is before 1970; write a time to come");
        }
        seconds.ok()
    };
    let (from_s, until_s) = (seconds(&spec.from_s), seconds(&spec.until_s));
    let Place { file, line, .. } = &spec.place;
    Some(Event {
        service: service?,
        from_s: from_s?,
        until_s: until_s?,
        expect: spec.expect.as_ref()?.value,
        place: format!("{file}:{line}").into(),
    })
}

/// Finds a service by its name.
fn service(
    name: &Written<Arc<str>>,
    services: &[ServiceSpec],
    incomplete: bool,
    sink: &Sink,
) -> Option<ServiceId> {
    let found = services.iter().position(|service| service.name.value == *name.value);
    if found.is_none() && !incomplete {
        let meant = did_you_mean(&name.value, services.iter().map(|service| &*service.name.value));
        let fix = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "define it under `services`".to_owned(),
        };
        name.problem(sink, format!("no service is named `{}`; {fix}", name.value));
    }
    Some(ServiceId(u16::try_from(found?).ok()?))
}

/// Refuses two events of one service at one time: what would be expected of it then?
fn check_overlaps(events: &[(Event, &EventSpec)], sink: &Sink) {
    // The one that lasts longest of those before: an event may lie within one that began much earlier.
    let mut longest: Option<&(Event, &EventSpec)> = None;
    for next in events {
        let before = longest.filter(|(before, _)| before.service == next.0.service);
        let Some(before) = before else {
            longest = Some(next);
            continue;
        };
        if next.0.from_s < before.0.until_s {
            // At the one that is written later, as a reader meets them.
            let (first, second) =
                if before.1.place <= next.1.place { (before, next) } else { (next, before) };
            let message = format!(
                "overlaps the event of the same service at {}; let one end before the other begins",
                first.1.place
            );
            sink.add(second.1.place.clone(), second.1.field.clone(), message);
        }
        if before.0.until_s < next.0.until_s {
            longest = Some(next);
        }
    }
}
