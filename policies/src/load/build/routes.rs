//! Routes: put in the order in which they win, resolved and checked.

use std::{collections::HashMap, sync::Arc};

use crate::{
    decide::{Class, LAMBDA_EVENT_MAX, Lane},
    load::inherit::Levels,
    policy::{Lanes, Route, ServiceId},
    problem::{Place, did_you_mean},
    route::{Match, PathPattern, Table},
    spec::{
        common::Common,
        fields::{Sink, Written},
        route::RouteSpec,
        service::ServiceSpec,
    },
    units::{show_duration, show_size},
};

/// Routes that one policy may hold: [`crate::policy::RouteId`] has 16 bits.
const ROUTES_MAX: usize = 65_536;

/// What building and checking a route needs to know.
pub(super) struct Context<'a> {
    pub(super) main: &'a str,
    /// The path that the gateway answers itself.
    pub(super) health: &'a str,
    pub(super) defaults: &'a Common,
    pub(super) services: &'a [ServiceSpec],
    pub(super) incomplete: bool,
    pub(super) sink: &'a Sink,
    pub(super) warnings: &'a Sink,
}

impl Context<'_> {
    /// Builds all routes and their table; `None` when one cannot be built.
    pub(super) fn build(
        &self,
        mut written: Vec<RouteSpec>,
        buffered: u64,
    ) -> Option<(Box<[Route]>, Table)> {
        if written.is_empty() && !self.incomplete && self.sink.count() == 0 {
            let place = Place { file: self.main.into(), line: 0, column: 0 };
            self.sink.add(
                place,
                "routes",
                "there is no route; write at least one, or nothing is ever answered",
            );
        }
        if let Some(beyond) = written.get(ROUTES_MAX) {
            let message = format!("more than {ROUTES_MAX} routes; split the policy");
            self.sink.add(beyond.place.clone(), beyond.field.clone(), message);
            return None;
        }
        // Stable: routes that tie keep the order of the files, so that the later one is noted.
        written.sort_by_key(|route| route.matches.specificity());
        self.check_ties(&written);
        self.warn_unused(&written);
        self.warn_shadowed(&written);
        let matches: Vec<Match> = written.iter().map(|route| route.matches.clone()).collect();
        // All of them, before giving up at the first that is missing: each tells its own problems.
        let routes: Vec<Option<Route>> =
            written.into_iter().map(|route| self.route(route, buffered)).collect();
        let routes: Option<Box<[Route]>> = routes.into_iter().collect();
        Some((routes?, Table::new(matches)))
    }

    fn route(&self, spec: RouteSpec, buffered: u64) -> Option<Route> {
        let (id, service) = self.service(spec.service.as_ref()?)?;
        let levels = [&spec.common, &service.common, self.defaults];
        let levels = Levels(&levels);
        let lanes = match &spec.lanes {
            None => Lanes::BOTH,
            Some(lanes) => {
                let has = |lane| lanes.iter().any(|written| written.value == lane);
                Lanes { lambda: has(Lane::Lambda), container: has(Lane::Container) }
            }
        };
        self.check(&spec, service, lanes, levels, buffered);
        let Place { file, line, .. } = &spec.place;
        Some(Route {
            name: Arc::from(spec.matches.to_string()),
            place: Arc::from(format!("{file}:{line}")),
            service: id,
            class: spec.class.as_ref().and_then(|class| class.value),
            lanes,
            auto: levels.auto(),
            timeouts: levels.timeouts(),
            retry: levels.retry(),
            buffer: levels.buffer(),
            priority: levels.priority(),
            decision_header: levels.decision_header(),
            objective: levels.objective(),
            matches: spec.matches,
        })
    }

    fn service(&self, name: &Written<Arc<str>>) -> Option<(ServiceId, &ServiceSpec)> {
        let found =
            self.services.iter().enumerate().find(|(_, service)| service.name.value == *name.value);
        let Some((index, service)) = found else {
            if !self.incomplete {
                let meant = did_you_mean(
                    &name.value,
                    self.services.iter().map(|service| &*service.name.value),
                );
                let fix = match meant {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "define it under `services`".to_owned(),
                };
                name.problem(self.sink, format!("no service is named `{}`; {fix}", name.value));
            }
            return None;
        };
        Some((ServiceId(u16::try_from(index).ok()?), service))
    }

    fn check(
        &self,
        spec: &RouteSpec,
        service: &ServiceSpec,
        lanes: Lanes,
        levels: Levels<'_>,
        buffered: u64,
    ) {
        let name = &service.name.value;
        for lane in spec.lanes.iter().flatten() {
            let has = match lane.value {
                Lane::Lambda => service.lambda_written,
                Lane::Container => service.container_written,
            };
            if !has {
                let message = format!(
                    "service `{name}` has no {0} lane; remove `{0}`, or add the lane to it",
                    lane.value.as_str()
                );
                lane.problem(self.sink, message);
            }
            let needs = service.needs.storage || service.needs.affinity;
            if lane.value == Lane::Lambda && needs && !lanes.container {
                let message = format!(
                    "service `{name}` has `needs` that only containers meet; allow `container` here"
                );
                lane.problem(self.sink, message);
            }
        }
        self.check_class(spec, service, lanes);
        let timeouts = levels.timeouts();
        for (name, timeout, written) in [
            ("connect", timeouts.connect, levels.nearest(|level| level.connect.as_ref())),
            ("queue", timeouts.queue, levels.nearest(|level| level.queue.as_ref())),
        ] {
            let total = levels.nearest(|level| level.total.as_ref());
            if let Some(shown) = written.or(total)
                && timeouts.total <= timeout
            {
                let message = format!(
                    "{name} ({}) is not shorter than total ({}): it never ends anything; swap or align them",
                    show_duration(timeout),
                    show_duration(timeouts.total)
                );
                shown.problem(self.warnings, message);
            }
        }
        if timeouts.total < timeouts.first_byte {
            let total = levels.nearest(|level| level.total.as_ref());
            if let Some(shown) = total.or_else(|| levels.nearest(|level| level.first_byte.as_ref()))
            {
                let message = format!(
                    "total ({}) ends before first_byte ({}), which then never counts; swap or align them",
                    show_duration(timeouts.total),
                    show_duration(timeouts.first_byte)
                );
                shown.problem(self.warnings, message);
            }
        }
        if let Some(buffer) = levels.nearest(|level| level.buffer.as_ref()) {
            if buffered < buffer.value {
                let message =
                    format!("more than `limits.buffered` ({}); lower it", show_size(buffered));
                buffer.problem(self.sink, message);
            } else if LAMBDA_EVENT_MAX < buffer.value {
                let message = format!(
                    "Lambda takes no event above {}; the rest is read in vain",
                    show_size(LAMBDA_EVENT_MAX)
                );
                buffer.problem(self.warnings, message);
            }
        }
        if lanes.lambda && service.lambda_written {
            self.check_function_timeout(spec, service, levels);
        }
    }

    /// Warns of a class whose home the route does not have.
    fn check_class(&self, spec: &RouteSpec, service: &ServiceSpec, lanes: Lanes) {
        let Some(Written { value: Some(class), place, field }) = &spec.class else { return };
        let lambda = lanes.lambda && service.lambda_written;
        let container = lanes.container && service.container_written;
        let (home, other) = match class {
            Class::Sprinter if !lambda && container => (Lane::Lambda, Lane::Container),
            Class::Marathon if !container && lambda => (Lane::Container, Lane::Lambda),
            _ => return,
        };
        let message = format!(
            "there is no {} lane here, the home of {}s: all go to {}, and the class changes nothing",
            home.as_str(),
            class.as_str(),
            other.as_str()
        );
        self.warnings.add(place.clone(), field.clone(), message);
    }

    /// Warns of routes whose requests go elsewhere: the health path, and hosts that win before any path.
    fn warn_shadowed(&self, routes: &[RouteSpec]) {
        for route in routes.iter().filter(|route| route.sound) {
            let field = format!("{}.match", route.field);
            if route.matches.path == PathPattern::Exact(self.health.into()) {
                let message = "is never reached: `listen.health` is answered by the gateway itself; move one of them";
                self.warnings.add(route.place.clone(), field, message);
                continue;
            }
            let takes = |other: &&RouteSpec| other.sound && other.matches.shadows(&route.matches);
            let mut shadows = routes.iter().filter(takes);
            if let Some(first) = shadows.next() {
                let more = match shadows.count() {
                    0 => String::new(),
                    n => format!(" (and {n} more such)"),
                };
                let message = format!(
                    "does not get what is asked of `{}`: that goes to the route at {}{more}, because a host wins before any path; repeat this route with that host, if it shall",
                    first.matches.host.as_ref().map_or_else(String::new, ToString::to_string),
                    first.place
                );
                self.warnings.add(route.place.clone(), field, message);
            }
        }
    }

    /// Warns of a route whose requests may outlive the function.
    fn check_function_timeout(&self, spec: &RouteSpec, service: &ServiceSpec, levels: Levels<'_>) {
        // A guessed timeout is warned of already.
        let Some(timeout) = service.lambda.as_ref().and_then(|lambda| lambda.timeout.as_ref())
        else {
            return;
        };
        let total = levels.timeouts().total;
        if timeout.value < total {
            let message = format!(
                "requests may take {} (timeouts.total), but the function ends them after {}; align them",
                show_duration(total),
                show_duration(timeout.value)
            );
            match levels.nearest(|level| level.total.as_ref()) {
                Some(written) => written.problem(self.warnings, message),
                None => timeout.problem(self.warnings, message),
            }
        }
        let bound = levels.auto().sprinter_up_to;
        if let Some(written) = levels.nearest(|level| level.sprinter_up_to.as_ref())
            && timeout.value < bound
        {
            let message = format!(
                "sprinters may take {}, but the function ends after {}; lower it",
                show_duration(bound),
                show_duration(timeout.value)
            );
            written.problem(self.warnings, message);
        }
        let prior = levels.auto().prior;
        if timeout.value <= prior {
            let place = levels.nearest(|level| level.prior.as_ref());
            let (place, field) =
                place.map_or((&spec.place, &spec.field), |prior| (&prior.place, &prior.field));
            let message = format!(
                "auto.prior ({}) reaches the function's timeout ({}): Lambda is not used until shorter requests were seen",
                show_duration(prior),
                show_duration(timeout.value)
            );
            self.warnings.add(place.clone(), field.clone(), message);
        }
    }

    /// Refuses two routes of which neither is more specific, where one request can match both.
    fn check_ties(&self, sorted: &[RouteSpec]) {
        let mut start = 0;
        while start < sorted.len() {
            // Only routes of equal host and path can tie, and sorting brought candidates together.
            let specificity = sorted[start].matches.specificity();
            let end = start
                + sorted[start..]
                    .iter()
                    .take_while(|route| route.matches.specificity() == specificity)
                    .count();
            let mut groups: HashMap<_, Vec<&RouteSpec>> = HashMap::new();
            for route in sorted[start..end].iter().filter(|route| route.sound) {
                let group = groups.entry((&route.matches.host, &route.matches.path)).or_default();
                if let Some(first) =
                    group.iter().find(|other| other.matches.ties_with(&route.matches))
                {
                    let message = format!(
                        "matches the same requests as the route at {}, and neither is more specific; add a condition to one",
                        first.place
                    );
                    self.sink.add(route.place.clone(), format!("{}.match", route.field), message);
                }
                group.push(route);
            }
            start = end;
        }
    }

    fn warn_unused(&self, routes: &[RouteSpec]) {
        if self.incomplete || routes.is_empty() {
            return;
        }
        for service in self.services {
            let used = |route: &RouteSpec| {
                route.service.as_ref().is_some_and(|name| *name.value == *service.name.value)
            };
            if !routes.iter().any(used) {
                service.name.problem(self.warnings, "no route leads to it");
            }
        }
    }
}
