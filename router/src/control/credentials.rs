//! Credentials, and the keys made of them that sign calls to Lambda.
//!
//! They come from the SDK's own chain (environment, profile, container, instance) and are renewed ahead of their
//! expiry, off the hot path: workers find ready signing keys in the world. A signing key holds for one UTC day.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::{aws::Aws, shared::KeysState};
use crate::lane::lambda::SigningKeys;

/// How long the start waits for credentials: the environment and files answer at once, the container and instance
/// endpoints within milliseconds. What comes later is published when it comes.
const CREDENTIALS_WAIT: Duration = Duration::from_secs(2);

/// How long before their expiry credentials are renewed: AWS has new ones ready at least five minutes ahead for
/// instance and container roles.
const RENEW_AHEAD: Duration = Duration::from_mins(5);

/// How often credentials without an expiry are read again, so that a rotated key in a profile file is found. The SDK's
/// own cache holds them as long.
const REREAD_EVERY: Duration = Duration::from_mins(15);

/// First and longest pause after a failed attempt; it doubles in between.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Returns the keys that sign calls on the UTC day of `now`.
pub(crate) fn signing_keys(
    credentials: &Credentials,
    region: &str,
    now: SystemTime,
) -> SigningKeys {
    SigningKeys::new(
        credentials.access_key_id(),
        credentials.secret_access_key(),
        credentials.session_token(),
        region,
        now,
    )
}

/// Returns signing keys, and what they were made of, when credentials come within [`CREDENTIALS_WAIT`].
pub(super) async fn first_keys(aws: &Aws) -> Option<(Arc<SigningKeys>, Credentials)> {
    match timeout(CREDENTIALS_WAIT, aws.credentials()).await {
        Ok(Ok(found)) => {
            let keys = signing_keys(&found, aws.region(), SystemTime::now());
            Some((Arc::new(keys), found))
        }
        // The loop asks again at once, tells why it failed, and publishes them when they come.
        Ok(Err(_)) | Err(_) => None,
    }
}

/// What becomes of the published keys.
#[derive(Debug)]
pub(crate) enum Renewal {
    /// These replace them.
    Keys(Arc<SigningKeys>),
    /// They are good for nothing any more.
    Expired,
}

impl Renewal {
    /// Returns the keys that the next world has.
    pub(crate) fn into_keys(self) -> Option<Arc<SigningKeys>> {
        match self {
            Self::Keys(keys) => Some(keys),
            Self::Expired => None,
        }
    }
}

/// The credentials at hand, and when to ask for new ones.
#[derive(Debug)]
pub(crate) struct Keys {
    credentials: Option<Credentials>,
    /// UTC day that the published keys hold for; `None` when none are published or the credentials are newer.
    derived_for: Option<u64>,
    published: bool,
    asking: bool,
    ask_at: Option<Instant>,
    failures: u32,
    error: Option<String>,
}

impl Keys {
    /// Begins with what the first world's keys were made of at `clock`; the loop asks for its own at once.
    pub(crate) fn new(first: Option<Credentials>, clock: SystemTime) -> Self {
        Self {
            derived_for: first.is_some().then(|| utc_day(clock)),
            published: first.is_some(),
            credentials: first,
            asking: false,
            ask_at: None,
            failures: 0,
            error: None,
        }
    }

    /// Tells whether credentials must be asked for now. Whoever gets `true` must ask and report to [`Keys::heard`].
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = !self.asking && self.ask_at.is_none_or(|at| at <= now);
        self.asking |= due;
        due
    }

    /// Takes in an answer of the chain.
    pub(crate) fn heard(
        &mut self,
        answer: Result<Credentials, String>,
        now: Instant,
        clock: SystemTime,
    ) {
        self.asking = false;
        match answer {
            Ok(credentials) => {
                if self.error.take().is_some() {
                    info!("credentials for AWS are there again");
                }
                self.failures = 0;
                self.ask_at = Some(now + renew_in(&credentials, clock));
                self.credentials = Some(credentials);
                self.derived_for = None;
            }
            Err(error) => {
                if self.error.is_none() {
                    warn!(
                        error,
                        "no credentials for AWS; those at hand are used until they expire"
                    );
                }
                self.error = Some(error);
                self.ask_at = Some(
                    now + (RETRY_AFTER.0 * 2_u32.pow(self.failures.min(5))).min(RETRY_AFTER.1),
                );
                self.failures += 1;
            }
        }
    }

    /// Returns what the world must learn: new keys when the credentials or the UTC day changed, or that they expired.
    pub(crate) fn renewal(&mut self, region: &str, clock: SystemTime) -> Option<Renewal> {
        let credentials = self.credentials.as_ref()?;
        if credentials.expiry().is_some_and(|expiry| expiry <= clock) {
            self.derived_for = None;
            return std::mem::take(&mut self.published).then_some(Renewal::Expired);
        }
        let day = Some(utc_day(clock));
        if self.derived_for == day {
            return None;
        }
        self.derived_for = day;
        self.published = true;
        Some(Renewal::Keys(Arc::new(signing_keys(credentials, region, clock))))
    }

    /// Returns what `/status` tells about them.
    pub(crate) fn state(&self) -> KeysState {
        KeysState {
            usable: self.published,
            expiry: self.credentials.as_ref().and_then(Credentials::expiry),
            error: self.error.clone(),
        }
    }
}

/// Returns after how long credentials just given are to be renewed. Some that are close to their end are given out again
/// by the chain's own cache: those are asked for at the pace of failures, not on every tick, and once more before they end.
fn renew_in(credentials: &Credentials, clock: SystemTime) -> Duration {
    let Some(expiry) = credentials.expiry() else { return REREAD_EVERY };
    let left = expiry.duration_since(clock).unwrap_or_default();
    let least = (left / 2).clamp(RETRY_AFTER.0, RETRY_AFTER.1);
    left.saturating_sub(RENEW_AHEAD).clamp(least, REREAD_EVERY)
}

fn utc_day(clock: SystemTime) -> u64 {
    clock.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(expires_in: Option<Duration>, clock: SystemTime) -> Credentials {
        Credentials::new("local", "local", None, expires_in.map(|left| clock + left), "test")
    }

    #[test]
    fn the_first_keys_run_out_also_when_there_are_never_others() {
        let (now, clock) = (Instant::now(), UNIX_EPOCH + Duration::from_hours(24 * 20_000));
        let hour = Duration::from_hours(1);
        let mut keys = Keys::new(Some(credentials(Some(2 * hour), clock)), clock);
        keys.heard(Err("nobody answers".to_owned()), now, clock);
        assert!(keys.renewal("eu-west-1", clock + hour).is_none(), "they are good yet");
        let end = clock + 2 * hour;
        assert!(matches!(keys.renewal("eu-west-1", end), Some(Renewal::Expired)));
        assert!(keys.renewal("eu-west-1", end).is_none(), "that is told once");
    }

    #[test]
    fn keys_are_derived_once_a_day_and_for_new_credentials() {
        let (now, clock) = (Instant::now(), UNIX_EPOCH + Duration::from_hours(24 * 20_000));
        let mut keys = Keys::new(None, clock);
        assert!(keys.is_due(now), "the loop asks at once");
        assert!(!keys.is_due(now), "it asks once at a time");
        assert!(keys.renewal("eu-west-1", clock).is_none(), "nothing is known yet");
        keys.heard(Ok(credentials(None, clock)), now, clock);
        assert!(matches!(keys.renewal("eu-west-1", clock), Some(Renewal::Keys(_))));
        assert!(
            keys.renewal("eu-west-1", clock + Duration::from_hours(23)).is_none(),
            "the same day"
        );
        assert!(
            matches!(
                keys.renewal("eu-west-1", clock + Duration::from_hours(24)),
                Some(Renewal::Keys(_))
            ),
            "the next day"
        );
        keys.heard(Ok(credentials(None, clock)), now, clock);
        assert!(
            matches!(
                keys.renewal("eu-west-1", clock + Duration::from_hours(24)),
                Some(Renewal::Keys(_))
            ),
            "new ones"
        );
    }

    #[test]
    fn expiring_credentials_are_renewed_ahead_and_kept_until_their_end() {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let mut keys = Keys::new(None, clock);
        assert!(keys.is_due(now));
        keys.heard(Ok(credentials(Some(Duration::from_mins(10)), clock)), now, clock);
        assert!(matches!(keys.renewal("eu-west-1", clock), Some(Renewal::Keys(_))));
        assert!(!keys.is_due(now + Duration::from_secs(299)));
        assert!(keys.is_due(now + Duration::from_mins(5)), "five minutes ahead");

        let later = clock + Duration::from_mins(6);
        keys.heard(Err("down".into()), now + Duration::from_mins(6), later);
        assert!(
            !matches!(keys.renewal("eu-west-1", later), Some(Renewal::Expired)),
            "the old ones are kept"
        );
        assert!(keys.state().usable);
        assert_eq!(keys.state().error.as_deref(), Some("down"));
        assert!(keys.is_due(now + Duration::from_secs(361)), "a failure is retried soon");

        assert!(
            matches!(
                keys.renewal("eu-west-1", clock + Duration::from_mins(10)),
                Some(Renewal::Expired)
            ),
            "expired"
        );
        assert!(keys.renewal("eu-west-1", clock + Duration::from_mins(11)).is_none(), "told once");
        assert!(!keys.state().usable);
    }

    #[test]
    fn credentials_near_their_end_are_not_asked_for_on_every_tick() {
        let clock = SystemTime::now();
        assert_eq!(
            renew_in(&credentials(Some(Duration::from_mins(1)), clock), clock),
            RETRY_AFTER.1
        );
        for (left, renewed) in [(20, 10), (1, 1), (0, 1)] {
            assert_eq!(
                renew_in(&credentials(Some(Duration::from_secs(left)), clock), clock),
                Duration::from_secs(renewed),
                "before they end"
            );
        }
        assert_eq!(
            renew_in(&credentials(Some(Duration::from_hours(6)), clock), clock),
            REREAD_EVERY
        );
    }
}
