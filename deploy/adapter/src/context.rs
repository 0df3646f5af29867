//! What Lambda says about an invoke, as the app is told it.

use serde::Serialize;

use crate::runtime_api::Invoke;

/// The context of an invoke, with the field names of Lambda Web Adapter 1.0.
#[derive(Serialize)]
pub(crate) struct LambdaContext<'a> {
    request_id: &'a str,
    deadline: u64,
    invoked_function_arn: &'a str,
    xray_trace_id: Option<&'a str>,
    client_context: Option<serde_json::Value>,
    identity: Option<serde_json::Value>,
    env_config: EnvConfig,
}

#[derive(Serialize)]
struct EnvConfig {
    function_name: String,
    memory: u32,
    version: String,
    log_stream: String,
    log_group: String,
}

impl<'a> LambdaContext<'a> {
    pub(crate) fn of(invoke: &'a Invoke) -> Self {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let json = |name| invoke.header(name).and_then(|text| serde_json::from_str(text).ok());
        let since_1970 = invoke.deadline.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        LambdaContext {
            request_id: &invoke.id,
            deadline: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
            invoked_function_arn: invoke
                .header("lambda-runtime-invoked-function-arn")
                .unwrap_or_default(),
            xray_trace_id: invoke.header("lambda-runtime-trace-id"),
            client_context: json("lambda-runtime-client-context"),
            identity: json("lambda-runtime-cognito-identity"),
            env_config: EnvConfig {
                function_name: variable("AWS_LAMBDA_FUNCTION_NAME"),
                memory: variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").parse().unwrap_or_default(),
                version: variable("AWS_LAMBDA_FUNCTION_VERSION"),
                log_stream: variable("AWS_LAMBDA_LOG_STREAM_NAME"),
                log_group: variable("AWS_LAMBDA_LOG_GROUP_NAME"),
            },
        }
    }
}
