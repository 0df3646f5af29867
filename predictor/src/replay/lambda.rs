//! A function on Lambda: environments, their starts and their idle lifetimes, limits, and the bill.
//!
//! An environment serves one request at a time. A request takes the one that was used last; without an idle one a new one is
//! started, as far as the limits allow. Environments that nobody used for `idle_us` are gone: AWS does not say after how
//! long, and what was measured by others since 2019 lies between 5 and 45 minutes.

use std::{collections::VecDeque, time::Duration};

use policies::{
    cost::{FunctionSize, LambdaUsage},
    decide::LAMBDA_EVENT_MAX,
    policy::{ColdStart, InvokeMode},
};

use super::{distribution::Distribution, random::Random, rate::Bucket, tally::Failed};

/// New environments of a function that may be started at once, and each second after that: 1,000 in 10 s, refilled
/// continuously (AWS Lambda developer guide, "Understanding Lambda function scaling").
const SCALING: (u32, f64) = (1000, 100.0);

/// Part of a restore that is billed: loading the runtime and the hooks, not fetching the snapshot. A published REPORT line
/// has 182 ms billed of a restore of 399 ms.
pub(super) const RESTORE_BILLED: f64 = 0.456;

/// How long a warm-up invoke holds its environment, so that each of several gets one of its own: as the gateway asks for.
pub(super) const WARM_UP_US: u64 = 150_000;

/// After how long without a request the gateway takes an environment to be gone: it knows no more than AWS says.
pub(super) const KEEP_ALIVE: Duration = Duration::from_mins(5);

/// A function.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionModel {
    /// Architecture and memory.
    pub size: FunctionSize,
    /// How its environments start.
    pub cold_start: ColdStart,
    /// How long that takes.
    pub start: Distribution,
    /// How long an environment stays without a request, in microseconds.
    pub idle_us: u64,
    /// Its own timeout, in microseconds.
    pub timeout_us: u64,
    /// Concurrency that is reserved for it, and its cap.
    pub reserved: Option<u32>,
    /// Duration of a request here over its duration in a container.
    pub slowness: f64,
    /// Largest body of an answer that it may give: see [`answer_bytes_max`].
    pub answer_bytes_max: u64,
}

impl FunctionModel {
    /// Returns how long a request runs here on average, in microseconds, of which `service_time` is the time in a container.
    pub(super) fn run_mean_us(&self, service_time: &Distribution) -> f64 {
        service_time.mean_up_to_us(self.timeout_us as f64 / self.slowness) * self.slowness
    }
}

/// Returns the largest body of an answer, in bytes, of a function that is invoked so.
///
/// Buffered, the whole answer is a JSON object of at most 6 MB, in which a body that is no text stands as base64: 4.5 MB. A
/// stream may have 200 MB (AWS Lambda quotas, November 2026).
pub const fn answer_bytes_max(invoke: InvokeMode) -> u64 {
    match invoke {
        InvokeMode::Buffered => LAMBDA_EVENT_MAX / 4 * 3,
        InvokeMode::Stream => 200 * 1024 * 1024,
    }
}

/// Why Lambda did not take a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throttle {
    /// The account's concurrency is used up.
    Account,
    /// So is what is reserved for the function.
    Reserved,
    /// No more environments may be started now.
    ScalingRate,
}

/// A request that Lambda took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Started {
    /// When it ends.
    pub(super) end_us: u64,
    /// How long it runs.
    pub(super) run_us: u64,
    /// What its start took; `None` on a warm environment.
    pub(super) cold_us: Option<u64>,
    /// The function's timeout cut it off, or its answer was too large.
    pub(super) failed: Option<Failed>,
    /// It runs on provisioned concurrency.
    pub(super) provisioned: bool,
}

/// The state of a function.
#[derive(Debug)]
pub(super) struct Function {
    model: FunctionModel,
    /// Since when each idle environment is so; the latest last.
    idle: VecDeque<u64>,
    pub(super) in_flight: u32,
    provisioned: u32,
    provisioned_busy: u32,
    provisioned_since: u64,
    rate: Bucket,
    pub(super) usage: LambdaUsage,
    requests: u64,
    billed_ms: u64,
    provisioned_requests: u64,
    provisioned_billed_ms: u64,
    restores: u64,
    rounds: Rounds,
    /// Environments started for warm-up.
    pub(super) warm_ups: u64,
    /// What warm-up invokes used, of `usage`.
    pub(super) warm_usage: LambdaUsage,
}

/// How environments are held by warm-up invokes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmUps {
    /// Time from one round to the next, in microseconds: half of that after which environments are taken to be gone.
    pub every_us: u64,
    /// What an invoke costs that finds its environment there, and what one costs more that starts it, in US dollars.
    pub hold_usd: f64,
    /// See `hold_usd`.
    pub start_usd: f64,
    /// What may be spent on a day, in US dollars; `None` without a bound.
    pub spend_usd: Option<f64>,
}

impl Default for WarmUps {
    fn default() -> Self {
        let every_us = KEEP_ALIVE.as_micros() as u64 / 2;
        Self { every_us, hold_usd: 0.0, start_usd: 0.0, spend_usd: None }
    }
}

/// Warm-up invokes: all of a round are sent at once, so that each has an environment of its own.
#[derive(Debug, Clone, Copy, Default)]
struct Rounds {
    /// What the last round was for, and when the next one is due.
    planned: u32,
    due_us: u64,
    /// The UTC day, and what was spent on it, in US dollars.
    day: u64,
    spent_usd: f64,
}

impl Function {
    pub(super) fn new(model: FunctionModel) -> Self {
        Self {
            model,
            idle: VecDeque::new(),
            in_flight: 0,
            provisioned: 0,
            provisioned_busy: 0,
            provisioned_since: 0,
            rate: Bucket::new(SCALING.0, SCALING.1),
            usage: LambdaUsage::default(),
            requests: 0,
            billed_ms: 0,
            provisioned_requests: 0,
            provisioned_billed_ms: 0,
            restores: 0,
            rounds: Rounds::default(),
            warm_ups: 0,
            warm_usage: LambdaUsage::default(),
        }
    }

    /// Returns whether concurrency is reserved for it: then the account's pool is not asked.
    pub(super) fn is_reserved(&self) -> bool {
        self.model.reserved.is_some()
    }

    /// Begins a request that would take `service_us` in a container and answers so many bytes; `account_full` tells whether
    /// the account has no room.
    pub(super) fn begin(
        &mut self,
        now_us: u64,
        service_us: u64,
        answer_bytes: u32,
        account_full: bool,
        random: &mut Random,
    ) -> Result<Started, Throttle> {
        let run_us = (service_us as f64 * self.model.slowness).round() as u64;
        let failed = if self.model.timeout_us <= run_us {
            Some(Failed::FunctionTimeout)
        } else if self.model.answer_bytes_max < u64::from(answer_bytes) {
            Some(Failed::AnswerTooLarge)
        } else {
            None
        };
        let run_us = run_us.min(self.model.timeout_us);
        if self.provisioned_busy < self.provisioned {
            self.provisioned_busy += 1;
            self.in_flight += 1;
            self.provisioned_requests += 1;
            self.provisioned_billed_ms += run_us.div_ceil(1000);
            let end_us = now_us + run_us;
            return Ok(Started { end_us, run_us, cold_us: None, failed, provisioned: true });
        }
        if self.model.reserved.is_some_and(|reserved| reserved <= self.in_flight) {
            return Err(Throttle::Reserved);
        }
        if account_full && self.model.reserved.is_none() {
            return Err(Throttle::Account);
        }
        let cold = self.environment(now_us, random)?;
        let (waited_us, billed_us) = cold.unwrap_or_default();
        self.in_flight += 1;
        self.requests += 1;
        self.billed_ms += (billed_us + run_us).div_ceil(1000);
        let (end_us, cold_us) = (now_us + waited_us + run_us, cold.map(|(cold_us, _)| cold_us));
        Ok(Started { end_us, run_us, cold_us, failed, provisioned: false })
    }

    /// Ends a request.
    pub(super) fn end(&mut self, now_us: u64, provisioned: bool) {
        self.in_flight -= 1;
        if provisioned {
            self.provisioned_busy -= 1;
        } else {
            self.idle.push_back(now_us);
        }
    }

    /// Takes in runs that were not begun one by one: `requests`, `billed_ms` together, behind so many restores.
    pub(super) fn ran(&mut self, requests: u64, billed_ms: u64, restores: u64) {
        self.requests += requests;
        self.billed_ms += billed_ms;
        self.restores += restores;
    }

    /// Has `wanted` environments warm, by invokes that overlap: at once when more are wanted than before, else every
    /// `how.every_us`. Those in use need none. An invoke takes an idle environment or starts one; what `how.spend_usd` does
    /// not cover on a UTC day is not sent. Returns when each of them ends.
    pub(super) fn warm_up(
        &mut self,
        now_us: u64,
        wanted: u32,
        how: &WarmUps,
        random: &mut Random,
    ) -> Vec<u64> {
        const DAY_US: u64 = 86_400_000_000;
        if wanted == 0 || (wanted <= self.rounds.planned && now_us < self.rounds.due_us) {
            return Vec::new();
        }
        self.expire(now_us);
        let (day, mut spent_usd) = (now_us / DAY_US, self.rounds.spent_usd);
        if day != self.rounds.day {
            spent_usd = 0.0;
        }
        let mut ends = Vec::new();
        // One that ends now can be taken by the next one of the same round: they overlap.
        for _ in self.in_flight..wanted {
            let start = self.idle.is_empty();
            let usd = how.hold_usd + if start { how.start_usd } else { 0.0 };
            let covered = how.spend_usd.is_none_or(|most| spent_usd + usd <= most);
            if !covered || (start && !self.rate.take(now_us)) {
                break;
            }
            spent_usd += usd;
            let (mut cold_us, mut billed_us) = (0, 0);
            let mut restored = 0;
            if start {
                let restores = self.restores;
                (cold_us, billed_us) = self.cold(random);
                restored = self.restores - restores;
                self.warm_ups += 1;
            } else {
                self.idle.pop_back();
            }
            let billed_ms = (billed_us + WARM_UP_US).div_ceil(1000);
            self.in_flight += 1;
            self.requests += 1;
            self.billed_ms += billed_ms;
            self.warm_usage.add(self.model.size, 1, billed_ms);
            self.warm_usage.snapstart_restored_mb +=
                u128::from(self.model.size.memory_mib) * u128::from(restored);
            ends.push(now_us + cold_us + WARM_UP_US);
        }
        self.rounds = Rounds { planned: wanted, due_us: now_us + how.every_us, day, spent_usd };
        ends
    }

    /// Orders `wanted` environments of provisioned concurrency; they are there at once (AWS takes a minute or two).
    pub(super) fn provision(&mut self, now_us: u64, wanted: u32) {
        if wanted != self.provisioned {
            self.bill_provisioned(now_us);
            self.provisioned = wanted;
        }
    }

    fn bill_provisioned(&mut self, now_us: u64) {
        let ms = u128::from((now_us - self.provisioned_since).div_ceil(1000));
        let mb = u128::from(self.model.size.memory_mib) * u128::from(self.provisioned);
        *self.usage.provisioned_idle_mb_ms.of_mut(self.model.size.arch) += mb * ms;
        self.provisioned_since = now_us;
    }

    /// Closes the books of a load that lasted from `start_us` to `end_us`. Without `deployed` there is no function, and
    /// nothing to pay for.
    pub(super) fn close(&mut self, start_us: u64, end_us: u64, deployed: bool) {
        if !deployed {
            return;
        }
        self.bill_provisioned(end_us.max(self.provisioned_since));
        let size = self.model.size;
        self.usage.add(size, self.requests, self.billed_ms);
        self.usage.add_provisioned(size, self.provisioned_requests, self.provisioned_billed_ms);
        if self.model.cold_start == ColdStart::SnapStart {
            let mb = u128::from(size.memory_mib);
            self.usage.snapstart_restored_mb += mb * u128::from(self.restores);
            // One published version, for as long as the load lasted.
            self.usage.snapstart_cache_mb_ms += mb * u128::from((end_us - start_us).div_ceil(1000));
        }
    }

    /// Takes an idle environment or starts one: then it tells what that takes, and what of it is billed.
    fn environment(
        &mut self,
        now_us: u64,
        random: &mut Random,
    ) -> Result<Option<(u64, u64)>, Throttle> {
        self.expire(now_us);
        if self.idle.pop_back().is_some() {
            return Ok(None);
        }
        if !self.rate.take(now_us) {
            return Err(Throttle::ScalingRate);
        }
        Ok(Some(self.cold(random)))
    }

    fn cold(&mut self, random: &mut Random) -> (u64, u64) {
        let cold_us = self.model.start.draw(random);
        if self.model.cold_start == ColdStart::SnapStart {
            self.restores += 1;
            return (cold_us, (cold_us as f64 * RESTORE_BILLED).round() as u64);
        }
        // Init has been billed like any other time since August 2025.
        (cold_us, cold_us)
    }

    fn expire(&mut self, now_us: u64) {
        while self.idle.front().is_some_and(|since| since + self.model.idle_us <= now_us) {
            self.idle.pop_front();
        }
    }
}
