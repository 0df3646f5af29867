//! Bounds of capacity as written: `tasks`, `scale_by` and `warm_pool`.

use std::sync::Arc;

use super::{
    fields::{Fields, Written},
    scalar::{self, Scalar, Shape},
    service::is_account,
};
use crate::{cost::PicoUsd, policy::ScaleBy, problem::Place, units};

/// Tasks that one ECS service may have (AWS, Amazon ECS service quotas, "Tasks per service", read November 2026).
const TASKS_MAX: u32 = 5_000;

/// Why bounds of tasks beside `upstreams` are refused.
pub(crate) const NOT_BY_URL: &str =
    "goes with `ecs` only: no task can be started that is only known by its URL; remove it";

/// How many tasks a service may have.
#[derive(Debug)]
pub(crate) struct TasksSpec {
    pub(crate) place: Place,
    pub(crate) field: String,
    pub(crate) min: Option<Written<u32>>,
    pub(crate) max: Option<Written<u32>>,
    pub(crate) fallback: Option<Written<u32>>,
    pub(crate) spot: Option<Written<f64>>,
    pub(crate) scheduler_role: Option<Written<Arc<str>>>,
    /// Something is written, even if it could not be read: then its absence is not a second problem.
    pub(crate) fallback_written: bool,
    pub(crate) scheduler_role_written: bool,
}

impl TasksSpec {
    pub(crate) fn read(mut fields: Fields<'_, '_>) -> Self {
        let min = fields.value("min", scalar::WHOLE);
        let max = fields.value("max", TASKS);
        if !fields.has_value("max") {
            fields.missing("max", "write the most tasks that it may ever have, such as `max: 40`");
        }
        let fallback = fields.value("fallback", scalar::WHOLE);
        let mut up_to = None;
        if let Some(mut spot) = fields.fields("spot") {
            up_to = spot.value("up_to", scalar::PERCENT);
            if !spot.has_value("up_to") {
                spot.missing("up_to", "write a share, such as `up_to: 70%`");
            }
            spot.done();
        }
        let scheduler_role = fields.value("scheduler_role", ROLE);
        let spec = Self {
            place: fields.place.clone(),
            field: fields.path.clone(),
            min,
            max,
            fallback,
            spot: up_to,
            scheduler_role,
            fallback_written: fields.has_value("fallback"),
            scheduler_role_written: fields.has_value("scheduler_role"),
        };
        fields.done();
        spec
    }
}

/// How many of a function's environments may be held warm.
#[derive(Debug)]
pub(crate) struct WarmPoolSpec {
    pub(crate) min: Option<Written<u32>>,
    pub(crate) max: Option<Written<u32>>,
    pub(crate) spend: Option<Written<PicoUsd>>,
}

impl WarmPoolSpec {
    pub(crate) fn read(mut fields: Fields<'_, '_>) -> Self {
        let min = fields.value("min", scalar::WHOLE);
        let max = fields.value("max", scalar::WHOLE);
        if !fields.has_value("max") {
            fields.missing("max", "write the most environments to hold warm, such as `max: 20`");
        }
        let spend = fields.value("spend", SPEND);
        fields.done();
        Self { min, max, spend }
    }
}

pub(crate) const SCALE_BY: Scalar<ScaleBy> =
    scalar::scalar(scale_by, Shape::Words(&["desired-count", "autoscaling-floor"]));
const TASKS: Scalar<u32> = scalar::scalar(tasks, Shape::Count);
const ROLE: Scalar<Arc<str>> =
    scalar::scalar(role, Shape::Form(r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$"));
const SPEND: Scalar<PicoUsd> =
    scalar::scalar(units::money_a_day, Shape::Form(r"^\$\d+(\.\d+)?/(day|hour)$"));

fn scale_by(text: &str) -> Result<ScaleBy, String> {
    let words = [
        ("desired-count", ScaleBy::DesiredCount),
        ("autoscaling-floor", ScaleBy::AutoscalingFloor),
    ];
    scalar::one_of(text, &words)
}

fn tasks(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(tasks @ 1..=TASKS_MAX) => Ok(tasks),
        _ => Err(format!(
            "expected a whole number from 1 to {TASKS_MAX}, the most tasks that ECS gives a service, got `{text}`"
        )),
    }
}

/// Reads the ARN of a role. Its name may have a path before it: `role/pacer/fallback`.
fn role(text: &str) -> Result<Arc<str>, String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'+' | b'=' | b',' | b'.' | b'@' | b'-' | b'_')
    };
    let is_name =
        |name: &str| name.split('/').all(|part| !part.is_empty() && part.bytes().all(plain));
    match parts[..] {
        ["arn", partition, "iam", "", account, resource]
            if partition.starts_with("aws")
                && partition.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
                && is_account(account)
                && resource.strip_prefix("role/").is_some_and(is_name) =>
        {
            Ok(text.into())
        }
        _ => Err(format!(
            "expected the ARN of an IAM role such as `arn:aws:iam::123456789012:role/pacer-fallback`, got `{text}`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_arns_of_iam() {
        for right in [
            "arn:aws:iam::123456789012:role/pacer-fallback",
            "arn:aws-us-gov:iam::123456789012:role/pacer/fall.back@x",
            "arn:aws-cn:iam::123456789012:role/a",
        ] {
            assert!(role(right).is_ok(), "{right}");
        }
        for wrong in [
            "pacer-fallback",
            "arn:aws:iam::123456789012:user/pacer",
            "arn:aws:iam::12345:role/pacer",
            "arn:aws:iam:eu-west-1:123456789012:role/pacer",
            "arn:aws:sts::123456789012:role/pacer",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role//a",
            "arn:aws:iam::123456789012:role/a b",
            "arn:AWS:iam::123456789012:role/a",
        ] {
            assert!(role(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_service_has_as_many_tasks_as_ecs_gives() {
        assert_eq!((tasks("1"), tasks("5000")), (Ok(1), Ok(5_000)));
        for wrong in ["0", "5001", "-1", "1.5", "many"] {
            assert!(tasks(wrong).is_err(), "{wrong}");
        }
    }
}
