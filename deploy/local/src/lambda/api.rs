//! Lambda's API: the operations, and what all of them do first and last.
//!
//! What the gateway, an operator's AWS CLI and our own tests call, and no more: functions come from the configuration,
//! so that there is no CreateFunction.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use axum::{
    Router,
    body::to_bytes,
    extract::{Path, Query, Request},
    response::{IntoResponse, Json, Response},
    routing::{MethodFilter, on, post},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::{
    Shared, clock,
    faults::Refusal,
    lambda::{
        error::ServiceError,
        function::Function,
        invoke::{self, PAYLOAD_BYTES_MAX, set},
        name::Name,
        stream,
    },
    signature,
};

mod aliases;
mod concurrency;
mod functions;
mod provisioned;
mod versions;

/// How much of a payload that is too large is read, so that its sender sees the answer instead of a reset.
const READ_BYTES_MAX: usize = 2 * PAYLOAD_BYTES_MAX;
/// How many entries a list has at once unless it is asked for fewer.
const ITEMS_MAX: usize = 50;

/// What answers a call that is no invocation: a status and JSON, or no body for null.
type Operation = fn(&Asked) -> Result<(StatusCode, Value), ServiceError>;

/// The operations that are no invocations: method, path, and what answers. Paths and statuses are the API model's.
const OPERATIONS: [(MethodFilter, &str, Operation); 19] = {
    const GET: MethodFilter = MethodFilter::GET;
    const POST: MethodFilter = MethodFilter::POST;
    const PUT: MethodFilter = MethodFilter::PUT;
    const DELETE: MethodFilter = MethodFilter::DELETE;
    [
        (GET, "/2016-08-19/account-settings", concurrency::account),
        (GET, "/2015-03-31/functions", functions::list),
        (GET, "/2015-03-31/functions/{name}", functions::get),
        (DELETE, "/2015-03-31/functions/{name}", versions::delete),
        (GET, "/2015-03-31/functions/{name}/configuration", functions::get_configuration),
        (PUT, "/2015-03-31/functions/{name}/configuration", functions::update),
        (GET, "/2015-03-31/functions/{name}/versions", versions::list),
        (POST, "/2015-03-31/functions/{name}/versions", versions::publish),
        (GET, "/2015-03-31/functions/{name}/aliases", aliases::list),
        (POST, "/2015-03-31/functions/{name}/aliases", aliases::create),
        (GET, "/2015-03-31/functions/{name}/aliases/{alias}", aliases::get),
        (PUT, "/2015-03-31/functions/{name}/aliases/{alias}", aliases::update),
        (DELETE, "/2015-03-31/functions/{name}/aliases/{alias}", aliases::delete),
        (PUT, "/2017-10-31/functions/{name}/concurrency", concurrency::put),
        (DELETE, "/2017-10-31/functions/{name}/concurrency", concurrency::delete),
        (GET, "/2019-09-30/functions/{name}/concurrency", concurrency::get),
        (PUT, "/2019-09-30/functions/{name}/provisioned-concurrency", provisioned::put),
        (GET, "/2019-09-30/functions/{name}/provisioned-concurrency", provisioned::get),
        (DELETE, "/2019-09-30/functions/{name}/provisioned-concurrency", provisioned::delete),
    ]
};

/// All routes of Lambda.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    let mut router = Router::new()
        .route(
            "/2015-03-31/functions/{name}/invocations",
            post(async |asked: Asking| asked.answer(invoke::invoke).await),
        )
        .route(
            "/2021-11-15/functions/{name}/response-streaming-invocations",
            post(async |asked: Asking| asked.answer(stream::invoke).await),
        );
    for (method, path, operation) in OPERATIONS {
        let answer = async move |asked: Asking| {
            asked.answer(async move |asked: Asked| call(operation, &asked)).await
        };
        router = router.route(path, on(method, answer));
    }
    router
}

/// Answers a call that is no invocation.
fn call(operation: Operation, asked: &Asked) -> Result<Response, ServiceError> {
    match asked.shared.faults.lambda.take_call() {
        Some(Refusal::Throttle(reason)) => return Err(ServiceError::throttled(reason)),
        Some(Refusal::Exception { status, kind }) => {
            let message = "ordered by a fault of the local cloud";
            return Err(ServiceError::new(status, &kind, message));
        }
        None => {}
    }
    let (status, body) = operation(asked)?;
    Ok(if body.is_null() { status.into_response() } else { (status, Json(body)).into_response() })
}

type Pairs = BTreeMap<String, String>;

/// A request that has not been read.
#[derive(Debug)]
struct Asking {
    shared: Arc<Shared>,
    path: Pairs,
    query: Pairs,
    request: Request,
}

impl axum::extract::FromRequest<Arc<Shared>> for Asking {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Response> {
        use axum::RequestExt;
        let mut request = request;
        let refused = IntoResponse::into_response;
        let Path(path) =
            request.extract_parts::<Path<Pairs>>().await.unwrap_or_else(|_| Path(Pairs::new()));
        let Query(query) = request.extract_parts::<Query<Pairs>>().await.map_err(refused)?;
        Ok(Self { shared: shared.clone(), path, query, request })
    }
}

impl Asking {
    /// Reads and checks the request, has it answered, and names the answer.
    async fn answer(
        self,
        answer: impl AsyncFnOnce(Asked) -> Result<Response, ServiceError>,
    ) -> Response {
        let request_id = clock::request_id();
        let answered = match self.read(&request_id).await {
            Ok(asked) => answer(asked).await,
            Err(refusal) => Err(refusal),
        };
        let mut response = answered.unwrap_or_else(IntoResponse::into_response);
        set(&mut response, "x-amzn-requestid", &request_id);
        response
    }

    async fn read(self, request_id: &str) -> Result<Asked, ServiceError> {
        let faults = &self.shared.faults.lambda;
        if let Some(status) = faults.down() {
            let unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
            let kind = if unavailable { "ServiceUnavailableException" } else { "ServiceException" };
            return Err(ServiceError::new(status, kind, "Service unavailable."));
        }
        let (parts, body) = self.request.into_parts();
        let body = to_bytes(body, READ_BYTES_MAX).await;
        let body = body.map_err(|_| ServiceError::too_large(PAYLOAD_BYTES_MAX))?;
        let now = SystemTime::now() + faults.clock_ahead();
        signature::verify(&parts, &body, &self.shared.config.region, "lambda", now).map_err(
            |refusal| ServiceError::new(StatusCode::FORBIDDEN, refusal.name(), refusal.to_string()),
        )?;
        Ok(Asked {
            shared: self.shared,
            path: self.path,
            query: self.query,
            headers: parts.headers,
            body,
            request_id: request_id.to_owned(),
        })
    }
}

/// A request whose signature was checked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) shared: Arc<Shared>,
    path: Pairs,
    query: Pairs,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) request_id: String,
}

impl Asked {
    /// The function that the path names, with the qualifier of path or query.
    pub(crate) fn name(&self) -> Result<Name, ServiceError> {
        let name = self.path.get("name").map(String::as_str).unwrap_or_default();
        let qualifier = self.query.get("Qualifier").map(String::as_str);
        Name::parse(name, qualifier, &self.shared.config)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the log is wanted.
    pub(crate) fn tail(&self) -> bool {
        self.header("x-amz-log-type") == Some("Tail")
    }

    /// The function that the path names.
    fn function(&self) -> Result<(Name, Arc<Function>), ServiceError> {
        let name = self.name()?;
        let function = self.shared.lambda.find(&name)?;
        Ok((name, function))
    }

    /// The body as a JSON object; an empty one has no members.
    fn json(&self) -> Result<Value, ServiceError> {
        if self.body.is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        let body: Value = serde_json::from_slice(&self.body).map_err(|error| {
            ServiceError::content(format!("Could not parse request body into json: {error}"))
        })?;
        if body.is_object() {
            return Ok(body);
        }
        Err(ServiceError::content("Could not parse request body into json: not an object"))
    }

    /// A page of `items`, under `key`.
    fn page(&self, key: &str, items: Vec<Value>) -> Result<Value, ServiceError> {
        let number = |name: &str| match self.query.get(name) {
            None => Ok(None),
            Some(text) => text
                .parse::<usize>()
                .map(Some)
                .map_err(|_| ServiceError::parameter(format!("{name}: `{text}` is not one"))),
        };
        let from = number("Marker")?.unwrap_or(0);
        let count = number("MaxItems")?.unwrap_or(ITEMS_MAX).clamp(1, ITEMS_MAX);
        let more = from.saturating_add(count) < items.len();
        let page: Vec<Value> = items.into_iter().skip(from).take(count).collect();
        let mut body = serde_json::json!({ key: page });
        if more {
            body["NextMarker"] = (from + count).to_string().into();
        }
        Ok(body)
    }
}

/// A member of a body as text, number or fraction, if it is there.
fn text<'a>(body: &'a Value, name: &str) -> Result<Option<&'a str>, ServiceError> {
    member(body, name, Value::as_str)
}

fn count(body: &Value, name: &str) -> Result<Option<u32>, ServiceError> {
    member(body, name, |value| value.as_u64().and_then(|n| u32::try_from(n).ok()))
}

fn member<'a, T>(
    body: &'a Value,
    name: &str,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<Option<T>, ServiceError> {
    match body.get(name).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => read(value).map(Some).ok_or_else(|| {
            ServiceError::parameter(format!("{name}: `{value}` is not of the right type"))
        }),
    }
}

/// Refuses a change to something else than the caller saw.
fn revision(body: Option<&str>, current: &str) -> Result<(), ServiceError> {
    if body.is_none_or(|revision| revision == current) {
        return Ok(());
    }
    Err(ServiceError::new(
        StatusCode::PRECONDITION_FAILED,
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
    ))
}
