//! The input of the universal target `ecs:updateService`: a request of ECS with names in PascalCase.
//!
//! The scheduler checks when the schedule is made that it is JSON and that nothing required is missing. What ECS would refuse
//! is found out when it is called.

use serde_json::{Map, Value};

/// What `UpdateService` cannot do without.
const REQUIRED: &str = "Service";

/// Reads an input; returns the request in ECS's own words.
///
/// # Errors
/// In the scheduler's words.
pub(super) fn read(input: Option<&str>) -> Result<Value, String> {
    let wrong = |reason: String| Err(format!("Invalid RequestJson provided. Reason {reason}"));
    let fields: Map<String, Value> = match serde_json::from_str(input.unwrap_or("{}")) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return wrong("The request payload is not a JSON object".into()),
        Err(error) => return wrong(format!("The request payload is not valid JSON: {error}")),
    };
    if !fields.contains_key(REQUIRED) {
        return wrong(format!("Request payload is missing the following field(s): {REQUIRED}."));
    }
    Ok(in_camel_case(Value::Object(fields)))
}

fn in_camel_case(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let renamed = fields.into_iter().map(|(name, value)| {
                let first = name.chars().next().map(|c| c.to_ascii_lowercase());
                let name = first.into_iter().chain(name.chars().skip(1)).collect::<String>();
                (name, in_camel_case(value))
            });
            Value::Object(renamed.collect())
        }
        Value::Array(items) => items.into_iter().map(in_camel_case).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_become_those_of_ecs_at_every_level() {
        let input = r#"{"Cluster":"prod","Service":"web","DesiredCount":4,
            "CapacityProviderStrategy":[{"CapacityProvider":"FARGATE_SPOT","Weight":1}]}"#;
        let read = read(Some(input)).unwrap();
        assert_eq!(
            read,
            json!({
                "cluster": "prod", "service": "web", "desiredCount": 4,
                "capacityProviderStrategy": [{ "capacityProvider": "FARGATE_SPOT", "weight": 1 }],
            })
        );
    }

    #[test]
    fn what_lacks_the_service_or_is_no_object_is_refused() {
        for (input, reason) in [
            (None, "missing the following field(s): Service."),
            (Some(r#"{"service":"web"}"#), "missing the following field(s): Service."),
            (Some("[]"), "is not a JSON object"),
            (Some("{"), "is not valid JSON"),
        ] {
            let refused = read(input).unwrap_err();
            assert!(refused.starts_with("Invalid RequestJson provided. Reason "), "{refused}");
            assert!(refused.contains(reason), "{reason}: {refused}");
        }
    }
}
