//! ListFunctions, GetFunction, GetFunctionConfiguration and UpdateFunctionConfiguration.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Asked, count, revision, text};
use crate::{
    clock,
    config::LogFormat,
    lambda::{error::ServiceError, function::Function, name::LATEST, version::Version},
};

/// What UpdateFunctionConfiguration changes here; another member would be ignored, and is refused.
const CHANGEABLE: [&str; 8] = [
    "Description",
    "Environment",
    "FunctionName",
    "LoggingConfig",
    "MemorySize",
    "RevisionId",
    "SnapStart",
    "Timeout",
];

/// ListFunctions: `$LATEST` of each, or every version with `FunctionVersion=ALL`.
pub(super) fn list(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let all = asked.query.get("FunctionVersion").is_some_and(|v| v == "ALL");
    let mut items = Vec::new();
    for function in asked.shared.lambda.functions.values() {
        let versions = function.versions();
        let shown = versions.iter().take(if all { versions.len() } else { 1 });
        let qualifier = |v: &Version| all.then(|| v.name());
        items.extend(shown.map(|v| configuration(asked, function, v, qualifier(v).as_deref())));
    }
    Ok((StatusCode::OK, asked.page("Functions", items)?))
}

/// GetFunction.
pub(super) fn get(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (name, function) = asked.function()?;
    let version = function.resolve(&name, 1.0).ok_or_else(|| name.not_found())?;
    let mut body = json!({
        "Configuration": configuration(asked, &function, &version, name.qualifier.as_deref()),
        "Code": { "RepositoryType": "S3", "Location": "" },
    });
    if let Some(reserved) = asked.shared.lambda.limits.reserved(&function.name) {
        body["Concurrency"] = json!({ "ReservedConcurrentExecutions": reserved });
    }
    Ok((StatusCode::OK, body))
}

/// GetFunctionConfiguration.
pub(super) fn get_configuration(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (name, function) = asked.function()?;
    let version = function.resolve(&name, 1.0).ok_or_else(|| name.not_found())?;
    let body = configuration(asked, &function, &version, name.qualifier.as_deref());
    Ok((StatusCode::OK, body))
}

/// UpdateFunctionConfiguration: of `$LATEST`, whose environments are replaced.
pub(super) fn update(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (_, function) = asked.function()?;
    let body = asked.json()?;
    let mut members = body.as_object().into_iter().flatten().map(|(member, _)| member.as_str());
    if let Some(member) = members.find(|member| !CHANGEABLE.contains(member)) {
        let message = format!("{member} cannot be changed on the local cloud");
        return Err(ServiceError::parameter(message));
    }
    let mut published = function.published();
    let latest = published.latest.clone();
    revision(text(&body, "RevisionId")?, &latest.revision)?;
    let mut settings = latest.settings.clone();
    if let Some(memory) = count(&body, "MemorySize")? {
        if !(128..=10_240).contains(&memory) {
            return Err(ServiceError::parameter(format!(
                "MemorySize: {memory} is not within 128 to 10240"
            )));
        }
        settings.memory = memory;
    }
    if let Some(timeout) = count(&body, "Timeout")? {
        if !(1..=900).contains(&timeout) {
            return Err(ServiceError::parameter(format!(
                "Timeout: {timeout} is not within 1 to 900"
            )));
        }
        settings.timeout = Duration::from_secs(timeout.into());
    }
    if let Some(variables) = body["Environment"]["Variables"].as_object() {
        let variable = |(name, value): (&String, &Value)| {
            let value = value.as_str().ok_or_else(|| {
                ServiceError::parameter(format!("Environment: `{name}` is no text"))
            });
            value.map(|value| (name.clone(), value.to_owned()))
        };
        settings.env = variables.iter().map(variable).collect::<Result<_, _>>()?;
    }
    match text(&body["SnapStart"], "ApplyOn")? {
        Some("PublishedVersions") => settings.snap_start = true,
        Some("None") => settings.snap_start = false,
        None => {}
        Some(other) => {
            return Err(ServiceError::parameter(format!(
                "SnapStart.ApplyOn: `{other}` is not known"
            )));
        }
    }
    match text(&body["LoggingConfig"], "LogFormat")? {
        Some("JSON") => settings.log_format = LogFormat::Json,
        Some("Text") => settings.log_format = LogFormat::Text,
        None => {}
        Some(other) => {
            return Err(ServiceError::parameter(format!(
                "LoggingConfig.LogFormat: `{other}` is not known"
            )));
        }
    }
    let description = text(&body, "Description")?.unwrap_or(&latest.description).to_owned();
    published.update(settings, description);
    let latest = published.latest.clone();
    drop(published);
    Ok((StatusCode::OK, configuration(asked, &function, &latest, None)))
}

/// A version as the API describes it, under the ARN with `qualifier`.
pub(super) fn configuration(
    asked: &Asked,
    function: &Function,
    version: &Version,
    qualifier: Option<&str>,
) -> Value {
    let settings = &version.settings;
    let command = settings.command.join("\0");
    let state = version.state(asked.shared.scale);
    let arn = match qualifier {
        Some(LATEST) => format!("{}:{LATEST}", function.arn),
        qualifier => function.arn_of(qualifier),
    };
    let (apply_on, optimization) = (
        if settings.snap_start { "PublishedVersions" } else { "None" },
        if version.snapshot.is_some() { "On" } else { "Off" },
    );
    let modified = clock::timestamp(version.modified).replace('Z', "+0000");
    let mut body = json!({
        "FunctionName": function.name,
        "FunctionArn": arn,
        "Role": format!("arn:aws:iam::{}:role/local", asked.shared.config.account),
        "Handler": "bootstrap",
        "CodeSize": command.len(),
        "Description": version.description,
        "Timeout": settings.timeout.as_secs_f64().ceil() as u64,
        "MemorySize": settings.memory,
        "LastModified": modified,
        "CodeSha256": BASE64.encode(Sha256::digest(command.as_bytes())),
        "Version": version.name(),
        "Environment": { "Variables": settings.env },
        "TracingConfig": { "Mode": "PassThrough" },
        "RevisionId": version.revision,
        "State": state.name(),
        "LastUpdateStatus": "Successful",
        "PackageType": "Image",
        "Architectures": [if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }],
        "EphemeralStorage": { "Size": 512 },
        "SnapStart": { "ApplyOn": apply_on, "OptimizationStatus": optimization },
        "LoggingConfig": {
            "LogFormat": settings.log_format.name(),
            "LogGroup": format!("/aws/lambda/{}", function.name),
        },
    });
    if let Some((code, reason)) = state.reason() {
        body["StateReasonCode"] = code.into();
        body["StateReason"] = reason.into();
    }
    body
}
