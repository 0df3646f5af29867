//! Asks a running gateway what it has learned.

use std::net::SocketAddr;

use anyhow::Context;
use serde::Deserialize;

use crate::{admin::BeliefView, cli::admin::get};

/// What `/routes` tells of a route; what else it tells is not needed here.
#[derive(Debug, Deserialize)]
struct RouteView {
    name: String,
    beliefs: Vec<BeliefView>,
}

/// Returns what the gateway with the admin API at `admin` believes of requests of `size` on the route called `route`;
/// `None` when it has seen none.
pub(super) fn belief(
    admin: SocketAddr,
    route: &str,
    size: u8,
) -> anyhow::Result<Option<BeliefView>> {
    let routes: Vec<RouteView> = serde_json::from_slice(&get(admin, "/routes")?)
        .context("its answer is not that of a gateway")?;
    let of_route = routes.into_iter().find(|view| view.name == route);
    let beliefs = of_route
        .with_context(|| format!("it serves another policy, without the route `{route}`"))?
        .beliefs;
    Ok(beliefs.into_iter().find(|belief| belief.size == size && 0 < belief.seen))
}
