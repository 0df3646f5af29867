//! PublishVersion, ListVersionsByFunction, and DeleteFunction of a version.

use http::StatusCode;
use serde_json::Value;

use super::{Asked, functions::configuration, revision, text};
use crate::lambda::{
    error::ServiceError,
    function::{Alias, Target},
    name::LATEST,
    snapshot::make_snapshot,
};

/// PublishVersion. Nothing is published when nothing changed since the last time; with SnapStart the version is Pending
/// until its snapshot is made.
pub(super) fn publish(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (_, function) = asked.function()?;
    let body = asked.json()?;
    let (version, made) = {
        let mut published = function.published();
        revision(text(&body, "RevisionId")?, &published.latest.revision)?;
        published.publish(text(&body, "Description")?.map(str::to_owned))
    };
    // Described first, so that it is Pending however fast the snapshot is made.
    let body = configuration(asked, &function, &version, Some(&version.name()));
    if made && version.snapshot.is_some() {
        let shared = asked.shared.clone();
        asked.shared.work.spawn(make_snapshot(shared, function, version));
    }
    Ok((StatusCode::CREATED, body))
}

/// ListVersionsByFunction.
pub(super) fn list(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (_, function) = asked.function()?;
    let versions = function.versions();
    let items = versions.iter().map(|v| configuration(asked, &function, v, Some(&v.name())));
    Ok((StatusCode::OK, asked.page("Versions", items.collect())?))
}

/// DeleteFunction with a qualifier: deletes a version. Whole functions are the configuration's.
pub(super) fn delete(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (name, function) = asked.function()?;
    let number = name.qualifier.as_deref().filter(|q| *q != LATEST);
    let number = number.and_then(|q| q.parse::<u32>().ok()).ok_or_else(|| {
        ServiceError::parameter("the local cloud deletes versions only: give one as Qualifier")
    })?;
    let mut published = function.published();
    let uses = |alias: &Alias| {
        alias.version == Target::Number(number)
            || alias.routing.is_some_and(|(other, _)| other == number)
    };
    let used: Vec<&str> =
        published.aliases.iter().filter(|(_, a)| uses(a)).map(|(n, _)| n.as_str()).collect();
    if !used.is_empty() {
        return Err(ServiceError::conflict(format!(
            "Function {} cannot be deleted because the following aliases reference it: [{}]",
            function.arn_of(name.qualifier.as_deref()),
            used.join(", ")
        )));
    }
    published.versions.remove(&number).ok_or_else(|| name.not_found())?;
    let removed = published.provisioned.remove(&number.to_string()).is_some();
    drop(published);
    if removed {
        super::provisioned::changed(asked, &function)?;
    }
    Ok((StatusCode::NO_CONTENT, Value::Null))
}
