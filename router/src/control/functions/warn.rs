//! Where a policy and the function that it calls do not agree.

use std::{sync::Arc, time::Duration};

use policies::policy::{Arch, ColdStart, Lambda};

use super::known::{Known, SnapStart, State};
use crate::admin::duration;

/// Returns a sentence for each disagreement, with what to do.
pub(super) fn warnings(
    declared: &Lambda,
    known: &Known,
    concurrency: Option<u32>,
    longest: Option<&(Arc<str>, Duration)>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if known.configuration.state == State::Unread {
        return warnings;
    }
    let read = &known.configuration;
    let mut differs = |what: &str, assumed: String, real: Option<String>| {
        if let Some(real) = real.filter(|real| *real != assumed) {
            warnings.push(format!(
                "the policy assumes {what} {assumed}, the function has {real}, which holds; mend `assume`"
            ));
        }
    };
    let mib = |mib: u32| format!("{mib}MiB");
    differs("memory", mib(declared.memory_mib), read.memory_mib.map(mib));
    differs("timeout", duration(declared.timeout), read.timeout.map(duration));
    differs("arch", arch(declared.arch).to_owned(), read.arch.map(arch).map(str::to_owned));
    if let (Some((route, total)), Some(timeout)) = (longest, read.timeout)
        && timeout < *total
    {
        warnings.push(format!(
            "requests of `{route}` may take {} (timeouts.total), but the function ends them after {}; align them",
            duration(*total),
            duration(timeout)
        ));
    }
    let latest = matches!(declared.qualifier.as_deref(), None | Some("$LATEST"));
    let wanted = declared.cold_start == ColdStart::SnapStart;
    match read.snap_start {
        _ if wanted && latest => warnings.push(
            "`cold_start: snapstart`, but `$LATEST` has no snapshot; call a version or an alias"
                .to_owned(),
        ),
        Some(SnapStart::Off) if wanted => warnings.push(
            "`cold_start: snapstart`, but SnapStart is off; turn it on and publish a version"
                .to_owned(),
        ),
        Some(SnapStart::NotOptimised) if wanted => warnings.push(
            "`cold_start: snapstart`, but this version has no snapshot; publish another one"
                .to_owned(),
        ),
        _ => {}
    }
    let snap_start = matches!(read.snap_start, Some(SnapStart::On | SnapStart::NotOptimised));
    let provisioned = known.provisioned.is_some_and(|provisioned| 0 < provisioned.requested);
    if snap_start && (provisioned || declared.cold_start == ColdStart::Provisioned)
        || wanted && provisioned
    {
        warnings.push(
            "SnapStart and provisioned concurrency are both configured, and a version has one of them; choose"
                .to_owned(),
        );
    }
    if concurrency == Some(0) {
        warnings.push(
            "its reserved concurrency is 0, so Lambda refuses every call; raise it or remove it"
                .to_owned(),
        );
    }
    warnings
}

const fn arch(arch: Arch) -> &'static str {
    match arch {
        Arch::Arm64 => "arm64",
        Arch::X86_64 => "x86_64",
    }
}
