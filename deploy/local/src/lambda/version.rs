//! One version of a function: `$LATEST`, or a published one that never changes.

use std::time::SystemTime;

use crate::{
    clock::{self, Scale},
    config,
    lambda::{
        name::LATEST,
        pool::Pool,
        snapshot::{Snapshot, State},
    },
};

/// A version: settings, and environments of its own.
#[derive(Debug)]
pub(crate) struct Version {
    /// None of `$LATEST`.
    pub(crate) number: Option<u32>,
    pub(crate) settings: config::Function,
    pub(crate) description: String,
    pub(crate) modified: SystemTime,
    /// Changes whenever the version does.
    pub(crate) revision: String,
    /// With SnapStart, of a published version.
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) pool: Pool,
}

impl Version {
    /// The unpublished version.
    pub(crate) fn latest(settings: config::Function, description: String) -> Self {
        Self {
            number: None,
            settings,
            description,
            modified: SystemTime::now(),
            revision: clock::request_id(),
            snapshot: None,
            pool: Pool::default(),
        }
    }

    /// This version, published as `number`; its snapshot is in `state`.
    pub(crate) fn publish(&self, number: u32, description: String, state: State) -> Self {
        Self {
            number: Some(number),
            settings: self.settings.clone(),
            description,
            modified: SystemTime::now(),
            revision: clock::request_id(),
            snapshot: self.settings.snap_start.then(|| Snapshot::new(state)),
            pool: Pool::default(),
        }
    }

    /// `$LATEST` or its number.
    pub(crate) fn name(&self) -> String {
        self.number.map_or_else(|| LATEST.to_owned(), |number| number.to_string())
    }

    pub(crate) fn state(&self, scale: Scale) -> State {
        self.snapshot.as_ref().map_or(State::Active, |snapshot| snapshot.state(scale))
    }
}
