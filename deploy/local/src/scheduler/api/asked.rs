//! What CreateSchedule and UpdateSchedule are asked, checked.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{constraint, group, invalid};
use crate::{
    Shared,
    at::{self, Wrong},
    aws_json::Refusal,
    clock,
    scheduler::{
        GROUP, input,
        schedule::{AfterCompletion, Schedule},
    },
};

/// The one target there is.
const TARGET: &str = "arn:aws:scheduler:::aws-sdk:ecs:updateService";
/// All schedules "invoke their targets with 60 second precision" (user guide, "Schedule types", read 2026-11): within the
/// minute that begins at their time.
const PRECISION: Duration = Duration::from_mins(1);
/// Longest flexible window, in minutes; repetitions and age of a call in seconds (API reference).
const WINDOW_MAX: u32 = 1440;
const RETRIES_MAX: u32 = 185;
const AGE_SECONDS_MAX: u32 = 86_400;
const AGE_SECONDS_MIN: u32 = 60;

/// The body of both calls but for what names and identifies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Asked {
    #[serde(skip_serializing_if = "Option::is_none")]
    action_after_completion: Option<String>,
    #[serde(skip_serializing)]
    client_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    flexible_time_window: Option<Window>,
    #[serde(skip_serializing)]
    group_name: Option<String>,
    schedule_expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_expression_timezone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    target: Option<Target>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Window {
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum_window_in_minutes: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Target {
    arn: Option<String>,
    role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_policy: Option<RetryPolicy>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RetryPolicy {
    maximum_event_age_in_seconds: Option<u32>,
    maximum_retry_attempts: Option<u32>,
}

/// Reads a body; returns the client token apart, which is no part of the schedule.
pub(super) fn read(body: &[u8]) -> Result<(Asked, Option<String>), Refusal> {
    let mut asked: Asked = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("the local cloud cannot do this: {error}")))?;
    let token = asked.client_token.take();
    Ok((asked, token))
}

fn required<'a, T>(value: Option<&'a T>, field: &str) -> Result<&'a T, Refusal> {
    value.ok_or_else(|| constraint("null", field, "not be null"))
}

/// Reads a member of a closed set; `default` when it is not given.
fn one_of<'a>(
    asked: Option<&'a String>,
    field: &str,
    set: [&'a str; 2],
    default: &'a str,
) -> Result<&'a str, Refusal> {
    let value = asked.map_or(default, String::as_str);
    if set.contains(&value) {
        return Ok(value);
    }
    let rule = format!("satisfy enum value set: [{}]", set.join(", "));
    Err(constraint(&format!("'{value}'"), field, &rule))
}

impl Asked {
    pub(crate) fn expression(&self) -> &str {
        self.schedule_expression.as_deref().unwrap_or_default()
    }

    /// As GetSchedule shows it, with defaults.
    pub(super) fn shown(&self) -> Value {
        let mut shown = json!(self);
        for (field, default) in [
            ("ActionAfterCompletion", "NONE"),
            ("ScheduleExpressionTimezone", "UTC"),
            ("State", "ENABLED"),
        ] {
            if shown[field].is_null() {
                shown[field] = json!(default);
            }
        }
        let policy = self.target.as_ref().and_then(|t| t.retry_policy).unwrap_or_default();
        shown["Target"]["RetryPolicy"] = json!({
            "MaximumEventAgeInSeconds": policy.maximum_event_age_in_seconds.unwrap_or(AGE_SECONDS_MAX),
            "MaximumRetryAttempts": policy.maximum_retry_attempts.unwrap_or(RETRIES_MAX),
        });
        shown
    }

    /// The schedule that is asked for.
    pub(super) fn schedule(
        self,
        shared: &Shared,
        name: &str,
        client_token: Option<String>,
    ) -> Result<Schedule, Refusal> {
        group(self.group_name.as_ref())?;
        let expression = required(self.schedule_expression.as_ref(), "scheduleExpression")?;
        let target = required(self.target.as_ref(), "target")?;
        let window = required(self.flexible_time_window.as_ref(), "flexibleTimeWindow")?;
        let spread = spread(window)?;
        let after = self.action_after_completion.as_ref();
        let after = one_of(after, "actionAfterCompletion", ["NONE", "DELETE"], "NONE")?;
        let state = one_of(self.state.as_ref(), "state", ["ENABLED", "DISABLED"], "ENABLED")?;
        let zone = self.schedule_expression_timezone.as_deref();
        let at = moment(expression, zone)?;
        let input = target.input(&shared.config.account)?;
        let policy = target.retry_policy()?;
        // Anywhere within the window, as AWS promises no more.
        let lag = shared.scale.shrink(spread.mul_f64(clock::draw()));
        let (region, account) = (&shared.config.region, &shared.config.account);
        let now = SystemTime::now();
        Ok(Schedule {
            arn: format!("arn:aws:scheduler:{region}:{account}:schedule/{GROUP}/{name}"),
            client_token,
            created: now,
            modified: now,
            at,
            after_completion: match after {
                "DELETE" => AfterCompletion::Delete,
                _ => AfterCompletion::None,
            },
            input,
            due: (state == "ENABLED").then(|| at::due(at, shared.scale) + lag),
            retries_left: policy.0,
            age_max: policy.1,
            first_call: None,
            failures: 0,
            asked: self,
        })
    }
}

/// The length of the window in which the target is called.
fn spread(window: &Window) -> Result<Duration, Refusal> {
    let mode = required(window.mode.as_ref(), "flexibleTimeWindow.mode")?;
    let mode = one_of(Some(mode), "flexibleTimeWindow.mode", ["OFF", "FLEXIBLE"], "OFF")?;
    match (mode, window.maximum_window_in_minutes) {
        ("OFF", None) => Ok(PRECISION),
        ("OFF", Some(_)) => {
            Err(invalid("MaximumWindowInMinutes can be set only if Mode is FLEXIBLE."))
        }
        (_, Some(minutes @ 1..=WINDOW_MAX)) => Ok(Duration::from_mins(minutes.into())),
        (_, _) => Err(invalid(format!(
            "MaximumWindowInMinutes must be within 1 to {WINDOW_MAX} if Mode is FLEXIBLE."
        ))),
    }
}

/// The moment of an expression. One that is past is taken, and its target called at once.
fn moment(expression: &str, zone: Option<&str>) -> Result<SystemTime, Refusal> {
    at::parse(expression, zone).map_err(|wrong| match wrong {
        Wrong::Zone => {
            let zone = zone.unwrap_or_default();
            invalid(format!("Invalid Schedule Expression Timezone {zone}."))
        }
        Wrong::Expression if expression.starts_with("rate(") || expression.starts_with("cron(") => {
            invalid(format!("the local cloud has no recurring schedules, such as {expression}"))
        }
        Wrong::Expression => invalid(format!("Invalid Schedule Expression {expression}.")),
    })
}

impl Target {
    /// What the target is called with.
    fn input(&self, account: &str) -> Result<Value, Refusal> {
        let arn = required(self.arn.as_ref(), "target.arn")?;
        if arn != TARGET {
            return Err(invalid(format!("the local cloud schedules {TARGET} only, not {arn}")));
        }
        let role = required(self.role_arn.as_ref(), "target.roleArn")?;
        let mut parts = role.strip_prefix("arn:aws:iam::").unwrap_or_default().split(":role/");
        let (of, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if of.len() != 12 || !of.bytes().all(|b| b.is_ascii_digit()) || name.is_empty() {
            let rule = r"satisfy regular expression pattern: ^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@\/-]+$";
            return Err(constraint(&format!("'{role}'"), "target.roleArn", rule));
        }
        // Of roles only their account is known here.
        if of != account {
            return Err(invalid(
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
            ));
        }
        input::read(self.input.as_deref()).map_err(invalid)
    }

    /// How often, and for how long, a call that failed is repeated.
    fn retry_policy(&self) -> Result<(u32, Duration), Refusal> {
        let policy = self.retry_policy.unwrap_or_default();
        let retries = policy.maximum_retry_attempts.unwrap_or(RETRIES_MAX);
        let seconds = policy.maximum_event_age_in_seconds.unwrap_or(AGE_SECONDS_MAX);
        if RETRIES_MAX < retries {
            let rule = format!("have value less than or equal to {RETRIES_MAX}");
            let field = "target.retryPolicy.maximumRetryAttempts";
            return Err(constraint(&format!("'{retries}'"), field, &rule));
        }
        if !(AGE_SECONDS_MIN..=AGE_SECONDS_MAX).contains(&seconds) {
            let rule = format!("have a value within {AGE_SECONDS_MIN} to {AGE_SECONDS_MAX}");
            let field = "target.retryPolicy.maximumEventAgeInSeconds";
            return Err(constraint(&format!("'{seconds}'"), field, &rule));
        }
        Ok((retries, Duration::from_secs(seconds.into())))
    }
}
