//! `pacer iam`: prints the permissions that each role needs, scoped to what the policy names.
//!
//! Three roles: `serve` is what traffic needs, `control` what finding tasks and reading functions needs (a gateway that
//! runs as one process has both), and acting on the services that are in `mode: act`; `operator` what a person needs who
//! looks, publishes and scales. Whatever AWS lets be scoped is; an account that the policy does not name is `*` unless given.

mod acting;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use anyhow::ensure;
use policies::policy::{ColdStart, Discovery, Gateways, Mode, Policy, State};
use serde_json::{Value, json};

use self::acting::Acting;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy's main file; without one, nothing is scoped.
    #[arg(long, value_name = "FILE")]
    policy: Option<String>,
    /// Who is to be permitted.
    #[arg(long, value_enum, default_value_t = Role::Serve)]
    role: Role,
    /// The account, where the policy names functions and clusters without one.
    #[arg(long, value_name = "ID", value_parser = account)]
    account: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    /// Traffic: invokes the functions.
    Serve,
    /// Beside traffic: finds tasks, reads what functions are set to, and sets the capacity of services in `mode: act`.
    Control,
    /// A person: looks, publishes versions, scales.
    Operator,
}

/// What is read of a function: its reserved concurrency is that of the whole function, the rest of one version or alias.
const READS: [&str; 4] = [
    "lambda:GetAlias",
    "lambda:GetFunctionConcurrency",
    "lambda:GetFunctionConfiguration",
    "lambda:GetProvisionedConcurrencyConfig",
];

/// How gateways find each other: each writes and reads its group's items, and takes away its own.
const TABLE_CALLS: [&str; 3] = ["dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"];

/// What a person may do with a function.
const FUNCTION_OPERATIONS: [&str; 14] = [
    "lambda:CreateAlias",
    "lambda:DeleteProvisionedConcurrencyConfig",
    "lambda:GetAlias",
    "lambda:GetFunction",
    "lambda:GetFunctionConcurrency",
    "lambda:GetFunctionConfiguration",
    "lambda:GetProvisionedConcurrencyConfig",
    "lambda:InvokeFunction",
    "lambda:ListAliases",
    "lambda:ListVersionsByFunction",
    "lambda:PublishVersion",
    "lambda:PutFunctionConcurrency",
    "lambda:PutProvisionedConcurrencyConfig",
    "lambda:UpdateAlias",
];

/// Prints the role's permissions.
///
/// # Errors
/// When the policy has problems, or calls nothing of AWS in this role.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let policy = args.policy.as_deref().map(super::load_policy).transpose()?;
    let names = match &policy {
        Some(read) => Names::of(&read.loaded.policy, args.account.as_deref()),
        None => Names::any(),
    };
    let statements = statements(args.role, &names);
    ensure!(!statements.is_empty(), "this policy calls nothing of AWS in that role");
    if policy.is_some() && names.any_account {
        eprintln!("pacer: the policy names no account, so `*` stands for it; give --account ID");
    }
    println!("{:#}", json!({ "Version": "2012-10-17", "Statement": statements }));
    Ok(ExitCode::SUCCESS)
}

/// What the policy calls, as ARNs.
#[derive(Debug, Default)]
struct Names {
    /// As they are invoked: with their alias or version.
    functions: Vec<String>,
    clusters: Vec<String>,
    services: Vec<String>,
    tasks: Vec<String>,
    /// Where task state change events come from.
    queues: Vec<String>,
    /// Where gateways find each other.
    tables: Vec<String>,
    /// Where history is kept, when it is in S3: the bucket, and the objects in it.
    buckets: Vec<String>,
    days: Vec<String>,
    /// What is remembered beside it.
    memory: Vec<String>,
    /// What history is filled from with `pacer backfill --cloudwatch`: AWS scopes it to nothing (Service Authorization
    /// Reference, CloudWatch).
    metrics: Vec<String>,
    acting: Acting,
    /// An account is not known.
    any_account: bool,
}

impl Names {
    fn any() -> Self {
        let all = || vec!["*".to_owned()];
        Self {
            functions: all(),
            clusters: all(),
            services: all(),
            tasks: all(),
            queues: all(),
            buckets: all(),
            days: all(),
            memory: all(),
            metrics: all(),
            tables: all(),
            acting: Acting::any(),
            any_account: true,
        }
    }

    fn of(policy: &Policy, account: Option<&str>) -> Self {
        let region = policy.region.as_deref().unwrap_or("*");
        let partition = match region.split('-').take(2).collect::<Vec<_>>()[..] {
            ["cn", _] => "aws-cn",
            ["us", "gov"] => "aws-us-gov",
            _ => "aws",
        };
        let mut names = Self::default();
        names.metrics.extend(policy.state.as_ref().map(|_| "*".to_owned()));
        if let Some(State::S3 { bucket, prefix }) = &policy.state {
            let slash = if prefix.is_empty() { "" } else { "/" };
            let bucket = format!("arn:{partition}:s3:::{bucket}");
            names.days.push(format!("{bucket}/{prefix}{slash}history/*"));
            names.memory.push(format!("{bucket}/{prefix}{slash}memory/*"));
            names.buckets.push(bucket);
        }
        let mut account = |named: Option<&str>| {
            let account = named.or(account).unwrap_or("*").to_owned();
            names.any_account |= account == "*";
            account
        };
        let (mut functions, mut clusters, mut services, mut tasks, mut queues) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut acting = Acting::default();
        for service in &policy.services {
            if let Some(lambda) = &service.lambda {
                let qualifier = lambda.qualifier.as_ref().map(|qualifier| format!(":{qualifier}"));
                let qualifier = qualifier.unwrap_or_default();
                let parts: Vec<&str> = lambda.function.split(':').collect();
                let function = match parts[..] {
                    ["arn", ..] => lambda.function.to_string(),
                    [named, "function", name] => {
                        format!(
                            "arn:{partition}:lambda:{region}:{}:function:{name}",
                            account(Some(named))
                        )
                    }
                    _ => format!(
                        "arn:{partition}:lambda:{region}:{}:function:{}",
                        account(None),
                        lambda.function
                    ),
                };
                let function = function + &qualifier;
                let provisioned =
                    lambda.cold_start == ColdStart::Provisioned && lambda.warm_pool.is_some();
                if service.mode == Mode::Act && lambda.qualifier.is_some() {
                    let list =
                        if provisioned { &mut acting.provisioned } else { &mut acting.taken_back };
                    list.push(function.clone());
                }
                functions.push(function);
            }
            let own = service;
            let discovery = own.container.as_ref().map(|container| &container.discovery);
            if let Some(Discovery::Ecs { cluster, service, events, .. }) = discovery {
                // `arn:aws:ecs:REGION:ACCOUNT:cluster/NAME`, or the name.
                let named = cluster.split(':').nth(4).map(str::to_owned);
                let account = account(named.as_deref());
                let cluster = cluster.rsplit('/').next().unwrap_or(cluster);
                let service = service.rsplit('/').next().unwrap_or(service);
                acting.add_tasks(own, |of, what| {
                    format!("arn:{partition}:{of}:{region}:{account}:{what}")
                });
                let arn = |what: &str| format!("arn:{partition}:ecs:{region}:{account}:{what}");
                clusters.push(arn(&format!("cluster/{cluster}")));
                services.push(arn(&format!("service/{cluster}/{service}")));
                tasks.push(arn(&format!("task/{cluster}/*")));
                // `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`
                queues.extend(events.iter().filter_map(|queue| {
                    let mut parts = queue.url.rsplit('/');
                    let (name, account) = (parts.next()?, parts.next()?);
                    Some(format!("arn:{partition}:sqs:{region}:{account}:{name}"))
                }));
            }
        }
        let table = |gateways: &Gateways| {
            format!("arn:{partition}:dynamodb:{region}:{}:table/{}", account(None), gateways.table)
        };
        let tables = policy.gateways.iter().map(table).collect();
        for list in [&mut functions, &mut clusters, &mut services, &mut tasks, &mut queues] {
            list.sort();
            list.dedup();
        }
        acting.sort();
        Self { functions, clusters, services, tasks, queues, tables, acting, ..names }
    }

    /// The functions themselves and all their versions and aliases.
    fn whole_functions(&self) -> Vec<String> {
        let mut all = Vec::new();
        for function in &self.functions {
            // `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`
            let whole = function.split(':').take(7).collect::<Vec<_>>().join(":");
            if whole != "*" {
                all.push(format!("{whole}:*"));
            }
            all.push(whole);
        }
        all.sort();
        all.dedup();
        all
    }
}

fn statement(id: &str, actions: &[&str], resources: &[String]) -> Option<Value> {
    let statement =
        || json!({ "Sid": id, "Effect": "Allow", "Action": actions, "Resource": resources });
    (!resources.is_empty()).then(statement)
}

fn statements(role: Role, names: &Names) -> Vec<Value> {
    let list_tasks = || {
        // Of ListTasks AWS scopes the cluster only, and by a condition (Service Authorization Reference, ECS).
        let mut list = statement("ListTasks", &["ecs:ListTasks"], &names.clusters)?;
        list["Resource"] = "*".into();
        if names.clusters != ["*"] {
            list["Condition"] = json!({ "ArnEquals": { "ecs:cluster": names.clusters } });
        }
        Some(list)
    };
    let read_account = || {
        // AWS scopes it to nothing (Service Authorization Reference, Lambda).
        let mut read = statement("ReadAccount", &["lambda:GetAccountSettings"], &names.functions)?;
        read["Resource"] = "*".into();
        Some(read)
    };
    // Of the whole bucket: a condition on `s3:prefix` would make an object that is not there yet one that is denied, since
    // reading it names no prefix (S3 User Guide, GetObject).
    let list_history = || statement("ListHistory", &["s3:ListBucket"], &names.buckets);
    let history = || statement("History", &["s3:GetObject", "s3:PutObject"], &names.days);
    let statements = match role {
        Role::Serve => {
            // InvokeWithResponseStream asks for the same permission (Lambda API reference).
            vec![statement("Invoke", &["lambda:InvokeFunction"], &names.functions)]
        }
        Role::Control => [
            vec![
                list_tasks(),
                statement("DescribeTasks", &["ecs:DescribeTasks"], &names.tasks),
                statement("DescribeServices", &["ecs:DescribeServices"], &names.services),
                // Deleting a batch asks for the permission to delete (SQS API permissions reference).
                statement(
                    "TaskEvents",
                    &["sqs:DeleteMessage", "sqs:ReceiveMessage"],
                    &names.queues,
                ),
                statement("ReadFunctions", &READS, &names.whole_functions()),
                read_account(),
                list_history(),
                history(),
                statement("ForgetHistory", &["s3:DeleteObject"], &names.days),
                statement("Memory", &["s3:GetObject", "s3:PutObject"], &names.memory),
                statement("Gateways", &TABLE_CALLS, &names.tables),
            ],
            names.acting.statements(),
        ]
        .concat(),
        Role::Operator => vec![
            statement("Functions", &FUNCTION_OPERATIONS, &names.whole_functions()),
            read_account(),
            list_tasks(),
            statement(
                "Tasks",
                &["ecs:DescribeTasks", "ecs:StopTask", "ecs:UpdateTaskProtection"],
                &names.tasks,
            ),
            statement("Services", &["ecs:DescribeServices", "ecs:UpdateService"], &names.services),
            list_history(),
            history(),
            statement("Backfill", &["cloudwatch:GetMetricData"], &names.metrics),
        ],
    };
    statements.into_iter().flatten().collect()
}

fn account(text: &str) -> Result<String, String> {
    let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_account.then(|| text.to_owned()).ok_or("expected twelve digits".to_owned())
}
