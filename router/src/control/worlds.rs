//! Worlds: the first, another policy's, and those in which only tasks, beliefs, keys or functions are new.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use anyhow::Context;
use aws_credential_types::Credentials;
use policies::policy::{Policy, ServiceId};
use tokio::time::Instant;
use tracing::debug;

use super::{
    Control,
    aws::Aws,
    credentials::{Renewal, first_keys},
    discover, learn,
    reload::Ready,
};
use crate::{
    lane::{Endpoint, container::Tasks, lambda::Function, next_key},
    serve::retries::Retries,
    telemetry::series::Table,
    world::{Beliefs, Endpoints, World},
};

/// What a gateway begins with.
#[derive(Debug)]
pub(crate) struct First {
    /// The world that workers start with.
    pub(crate) world: Arc<World>,
    /// What its keys were made of: they run out also when the loop never gets any.
    pub(crate) credentials: Option<Credentials>,
}

impl Control {
    /// Lays out the world that workers start with: static upstreams resolved, nothing proven, beliefs from priors, keys
    /// when credentials are there within two seconds.
    ///
    /// # Errors
    /// When the policy needs AWS and no region is known, or its endpoint is not a URL.
    pub(crate) async fn first_world(policy: &Arc<Policy>, workers: usize) -> anyhow::Result<First> {
        let aws = if Aws::is_needed(policy) { Some(Aws::load(policy).await?) } else { None };
        let mut endpoints = Vec::with_capacity(policy.services.len());
        for service in &policy.services {
            let function = match (&service.lambda, &aws) {
                (Some(lambda), Some(aws)) => {
                    let url = aws.lambda_endpoint();
                    let endpoint = Endpoint::parse(&url).with_context(|| {
                        format!("the address of the Lambda API; mend `endpoint_url` or AWS_ENDPOINT_URL: `{url}`")
                    })?;
                    Some(Arc::new(Function::new(lambda, endpoint)))
                }
                _ => None,
            };
            let tasks = match &service.container {
                Some(container) => Some(discover::first_tasks(&service.name, container).await),
                None => None,
            };
            endpoints.push(Endpoints { function, tasks, retries: Retries::new(workers) });
        }
        let (keys, credentials) = match &aws {
            Some(aws) if policy.services.iter().any(|service| service.lambda.is_some()) => {
                first_keys(aws).await.unzip()
            }
            _ => (None, None),
        };
        let world = World {
            policy: policy.clone(),
            beliefs: Arc::new(learn::priors(policy)),
            endpoints: endpoints.into(),
            keys,
            counters: (0..workers).map(|_| Table::new(policy)).collect(),
            generation: 0,
        };
        Ok(First { world: Arc::new(world), credentials })
    }

    /// Puts another policy in force, in one step. What it says of services and routes that were there already goes on:
    /// tasks, connections, what is in flight, what was counted and learned.
    pub(super) fn follow(&mut self, ready: Ready, now: Instant) {
        let Ready { policy, mut fleets, aws, lambda, keys, .. } = ready;
        self.functions.follow(&policy, now);
        let policy = Arc::new(self.functions.real(&policy));
        let old = self.world.clone();
        let mut old_fleets: BTreeMap<_, _> = std::mem::take(&mut self.fleets)
            .into_iter()
            .map(|(number, fleet)| (fleet.name().clone(), (number, fleet)))
            .collect();
        let mut endpoints = Vec::with_capacity(policy.services.len());
        for (index, service) in policy.services.iter().enumerate() {
            let before = old.policy.services.iter().position(|old| old.name == service.name);
            let before = before.map(|index| (&old.policy.services[index], &old.endpoints[index]));
            let function =
                service.lambda.as_ref().zip(lambda.as_ref()).map(|(wanted, endpoint)| match before
                    .and_then(|(old, at)| Some((old.lambda.as_ref()?, at.function.as_ref()?)))
                {
                    Some((old, function)) if old == wanted => function.clone(),
                    Some((old, function))
                        if (&old.function, &old.qualifier)
                            == (&wanted.function, &wanted.qualifier) =>
                    {
                        Arc::new(function.follow(wanted))
                    }
                    _ => Arc::new(Function::new(wanted, endpoint.clone())),
                });
            let tasks = service.container.as_ref().and_then(|container| {
                let (number, mut fleet) =
                    match (fleets.remove(&service.name), old_fleets.remove(&service.name)) {
                        (Some(mut new), Some((_, old))) => {
                            new.succeed(old, now);
                            (next_key(), new)
                        }
                        (Some(new), None) => (next_key(), new),
                        (None, Some(old)) => old,
                        // `reload::read` made a fleet for every service that had none.
                        (None, None) => return None,
                    };
                fleet.keep(ServiceId(index as u16), container);
                let tasks = fleet.tasks();
                self.fleets.insert(number, fleet);
                Some(tasks)
            });
            let retries = before.map(|(_, at)| at.retries.clone());
            let retries = retries.unwrap_or_else(|| Retries::new(old.counters.len()));
            endpoints.push(Endpoints { function, tasks, retries });
        }
        self.aws = self.aws.take().or(aws);
        self.divide();
        let keys = keys.map(|(keys, credentials)| {
            self.keys.heard(Ok(credentials), now, SystemTime::now());
            keys
        });
        let world = Arc::new(World {
            beliefs: Arc::new(self.learner.follow(&policy, &old.policy)),
            counters: self.shared.series().tables(&policy, &old),
            endpoints: endpoints.into(),
            keys: keys.or_else(|| old.keys.clone()),
            generation: old.generation + 1,
            policy: policy.clone(),
        });
        self.policy = policy;
        self.shared.adopt(&world);
        self.send(world);
        self.show_functions();
    }

    /// Puts in force what was read of functions: in a new world, where it changes what the policy says of them.
    pub(super) fn adopt_functions(&mut self) {
        let policy = self.functions.real(&self.policy);
        let lanes = |policy: &Policy| -> Vec<_> {
            policy.services.iter().map(|service| service.lambda.clone()).collect()
        };
        if lanes(&policy) == lanes(&self.policy) {
            return;
        }
        let old = self.world.clone();
        let policy = Arc::new(policy);
        let mut endpoints = old.endpoints.clone();
        for (service, endpoints) in policy.services.iter().zip(&mut endpoints) {
            if let (Some(lambda), Some(function)) = (&service.lambda, &mut endpoints.function) {
                *function = Arc::new(function.follow(lambda));
            }
        }
        let world = Arc::new(World {
            policy: policy.clone(),
            beliefs: Arc::new(self.learner.follow(&policy, &old.policy)),
            endpoints,
            keys: old.keys.clone(),
            counters: old.counters.clone(),
            generation: old.generation,
        });
        self.policy = policy;
        self.send_quietly(world);
    }

    /// Tells workers, the admin API and `/metrics` how the functions are.
    pub(super) fn show_functions(&self) {
        for (service, endpoints) in self.policy.services.iter().zip(&self.world.endpoints) {
            if let Some(function) = &endpoints.function {
                function.offer(self.functions.offer(&service.name));
            }
        }
        self.shared.stats().tell_functions(self.functions.states());
    }

    /// Publishes a world in which what is given replaces what was.
    pub(super) fn publish(
        &mut self,
        beliefs: Option<Arc<Beliefs>>,
        keys: Option<Renewal>,
        endpoints: Option<Box<[Endpoints]>>,
    ) {
        let old = &self.world;
        debug!(
            beliefs = beliefs.is_some(),
            keys = keys.is_some(),
            tasks = endpoints.is_some(),
            "a new world"
        );
        let lists_changed = endpoints.is_some();
        let world = Arc::new(World {
            policy: old.policy.clone(),
            beliefs: beliefs.unwrap_or_else(|| old.beliefs.clone()),
            endpoints: endpoints.unwrap_or_else(|| old.endpoints.clone()),
            keys: keys.map_or_else(|| old.keys.clone(), Renewal::into_keys),
            counters: old.counters.clone(),
            generation: old.generation,
        });
        if lists_changed {
            self.send(world);
        } else {
            self.send_quietly(world);
        }
    }

    /// Publishes a world with other lists of tasks: whoever waits on an older list gets the slots of the new one.
    fn send(&mut self, world: Arc<World>) {
        self.send_quietly(world);
        let endpoints = self.world.endpoints.iter();
        endpoints.filter_map(|endpoints| endpoints.tasks.as_ref()).for_each(Tasks::wake);
    }

    fn send_quietly(&mut self, world: Arc<World>) {
        self.world = world.clone();
        self.publish.send_replace(world);
        self.shared.stats().count_world();
    }
}
