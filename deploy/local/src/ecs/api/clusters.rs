//! Calls on clusters.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{PAGE_MAX, missing, page_max, within};
use crate::{
    Shared,
    aws_json::{Refusal, listed, page},
    ecs::{shape, short},
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct List {
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Describe {
    clusters: Option<Vec<String>>,
    /// More may be asked for; there is no more.
    #[serde(rename = "include")]
    _include: Option<Vec<String>>,
}

pub(super) fn list(shared: &Shared, ask: List) -> Result<Value, Refusal> {
    let page_max = page_max(ask.max_results, PAGE_MAX)?;
    let mut arns: Vec<_> =
        shared.ecs.clusters.values().map(|cluster| cluster.arn.clone()).collect();
    let next = page(&mut arns, Clone::clone, ask.next_token, page_max);
    Ok(listed("clusterArns", &arns, next))
}

pub(super) fn describe(shared: &Shared, ask: Describe) -> Result<Value, Refusal> {
    let asked = ask.clusters.unwrap_or_else(|| vec!["default".to_owned()]);
    within("clusters", asked.len(), PAGE_MAX)?;
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for asked in asked {
        match shared.ecs.clusters.get(short(&asked)) {
            Some(cluster) => clusters.push(shape::cluster(cluster)),
            None => failures.push(missing(&asked)),
        }
    }
    Ok(json!({ "clusters": clusters, "failures": failures }))
}
