//! CreateAlias, GetAlias, UpdateAlias, DeleteAlias and ListAliases.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Asked, revision, text};
use crate::{
    clock,
    lambda::{
        error::ServiceError,
        function::{Alias, Function, Published, Target},
    },
};

/// Longest name of an alias.
const NAME_BYTES_MAX: usize = 128;

/// CreateAlias.
pub(super) fn create(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (_, function) = asked.function()?;
    let body = asked.json()?;
    let name = text(&body, "Name")?.unwrap_or_default().to_owned();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if !(1..=NAME_BYTES_MAX).contains(&name.len())
        || !name.bytes().all(allowed)
        || name.parse::<u64>().is_ok()
    {
        return Err(ServiceError::parameter(format!("Name: `{name}` is no name of an alias")));
    }
    let mut published = function.published();
    let version = target(&function, &published, &body)?
        .ok_or_else(|| ServiceError::parameter("FunctionVersion: is missing"))?;
    if published.aliases.contains_key(&name) {
        return Err(ServiceError::conflict(format!(
            "Alias already exists: {}:{name}",
            function.arn
        )));
    }
    let alias = Alias {
        version,
        description: text(&body, "Description")?.unwrap_or_default().to_owned(),
        routing: routing(&function, &published, &body, (version, None))?,
        revision: clock::request_id(),
    };
    let described = describe(&function, &name, &alias);
    published.aliases.insert(name, alias);
    Ok((StatusCode::CREATED, described))
}

/// GetAlias.
pub(super) fn get(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (_, function) = asked.function()?;
    let name = asked.alias();
    let published = function.published();
    let alias = published.aliases.get(name).ok_or_else(|| missing(&function, name))?;
    Ok((StatusCode::OK, describe(&function, name, alias)))
}

/// UpdateAlias. What is provisioned moves with the alias.
pub(super) fn update(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (_, function) = asked.function()?;
    let body = asked.json()?;
    let name = asked.alias();
    let mut published = function.published();
    let alias = published.aliases.get(name).cloned().ok_or_else(|| missing(&function, name))?;
    revision(text(&body, "RevisionId")?, &alias.revision)?;
    let version = target(&function, &published, &body)?.unwrap_or(alias.version);
    let routing = routing(&function, &published, &body, (version, alias.routing))?;
    if routing.is_some() && published.provisioned.contains_key(name) {
        return Err(ServiceError::parameter(
            "Alias with weights can not be used with Provisioned Concurrency",
        ));
    }
    let description = text(&body, "Description")?.map(str::to_owned);
    let alias = Alias {
        version,
        description: description.unwrap_or(alias.description),
        routing,
        revision: clock::request_id(),
    };
    let described = describe(&function, name, &alias);
    published.aliases.insert(name.to_owned(), alias);
    drop(published);
    function.provisioning.notify_one();
    Ok((StatusCode::OK, described))
}

/// DeleteAlias; one that is not there is deleted too.
pub(super) fn delete(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (_, function) = asked.function()?;
    let mut published = function.published();
    published.aliases.remove(asked.alias());
    let provisioned = published.provisioned.remove(asked.alias()).is_some();
    drop(published);
    if provisioned {
        super::provisioned::changed(asked, &function)?;
    }
    Ok((StatusCode::NO_CONTENT, Value::Null))
}

/// ListAliases, of one version with `FunctionVersion`.
pub(super) fn list(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (_, function) = asked.function()?;
    let of = asked.query.get("FunctionVersion");
    let published = function.published();
    let shown = published.aliases.iter().filter(|(_, a)| of.is_none_or(|v| *v == a.version.name()));
    let items = shown.map(|(name, alias)| describe(&function, name, alias)).collect();
    Ok((StatusCode::OK, asked.page("Aliases", items)?))
}

impl Asked {
    fn alias(&self) -> &str {
        self.path.get("alias").map(String::as_str).unwrap_or_default()
    }
}

fn missing(function: &Function, name: &str) -> ServiceError {
    ServiceError::not_found(format!("Cannot find alias arn: {}:{name}", function.arn))
}

/// `FunctionVersion`, which must exist.
fn target(
    function: &Function,
    published: &Published,
    body: &Value,
) -> Result<Option<Target>, ServiceError> {
    let Some(version) = text(body, "FunctionVersion")? else { return Ok(None) };
    let target = Target::parse(version);
    let target = target.filter(|_| published.resolve(Some(version), 1.0).is_some());
    target.map(Some).ok_or_else(|| {
        ServiceError::not_found(format!("Function not found: {}:{version}", function.arn))
    })
}

/// `RoutingConfig`, or what there was when it is left out.
fn routing(
    function: &Function,
    published: &Published,
    body: &Value,
    (version, before): (Target, Option<(u32, f64)>),
) -> Result<Option<(u32, f64)>, ServiceError> {
    let Some(config) = body.get("RoutingConfig").filter(|config| !config.is_null()) else {
        return Ok(before);
    };
    let weights = config.get("AdditionalVersionWeights").and_then(Value::as_object);
    let mut weights = weights.into_iter().flatten();
    let Some((other, weight)) = weights.next() else { return Ok(None) };
    let number = other.parse::<u32>().ok().filter(|n| published.versions.contains_key(n));
    let number = number.ok_or_else(|| {
        ServiceError::not_found(format!("Function not found: {}:{other}", function.arn))
    })?;
    let weight = weight.as_f64().filter(|weight| (0.0..=1.0).contains(weight));
    let weight = weight.ok_or_else(|| {
        ServiceError::parameter("AdditionalVersionWeights: a weight is a number from 0 to 1")
    })?;
    if weights.next().is_some() {
        return Err(ServiceError::parameter(
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ));
    }
    match version {
        Target::Latest => Err(ServiceError::parameter(
            "$LATEST is not supported for an alias pointing to more than 1 version",
        )),
        Target::Number(same) if same == number => Err(ServiceError::parameter(format!(
            "Invalid function version {number}. Function version {number} is already included in routing configuration."
        ))),
        Target::Number(_) => Ok(Some((number, weight))),
    }
}

fn describe(function: &Function, name: &str, alias: &Alias) -> Value {
    let mut body = json!({
        "AliasArn": format!("{}:{name}", function.arn),
        "Name": name,
        "FunctionVersion": alias.version.name(),
        "Description": alias.description,
        "RevisionId": alias.revision,
    });
    if let Some((other, weight)) = alias.routing {
        let weights = json!({ other.to_string(): weight });
        body["RoutingConfig"] = json!({ "AdditionalVersionWeights": weights });
    }
    body
}
