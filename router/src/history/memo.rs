//! What is remembered beside hours, small things by kind and name: what routes have taught, what may be spent today, whose
//! provisioned concurrency Pacer has set.
//!
//! A memo is bytes of whoever remembers it, behind a version and the day it was written on, and before a seal. One that was
//! not written again for as long as hours are kept is forgotten: its route or function is gone.

use std::{collections::BTreeMap, sync::Arc};

use policies::cost::PicoUsd;

use super::{
    DAYS,
    bytes::{self, Unread},
};

/// How these bytes are laid out.
const VERSION: u64 = 1;

/// What a memo is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// How long the requests of a route take, by its service and name.
    Profile,
    /// Provisioned concurrency that Pacer has set, by function.
    Provisioned,
    /// What was taken of a day's budget, by service.
    Spend,
    /// Rows of the ledger, by day and key.
    Ledger,
    /// The last order to freeze capacity, or to go on.
    Order,
}

impl Kind {
    /// All kinds.
    pub(super) const ALL: [Self; 5] =
        [Self::Profile, Self::Provisioned, Self::Spend, Self::Ledger, Self::Order];

    /// Returns its name in stores.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Provisioned => "provisioned",
            Self::Spend => "spend",
            Self::Ledger => "ledger",
            Self::Order => "order",
        }
    }

    /// Returns the kind of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Memos by kind and name: the bytes of whoever remembers them.
pub(crate) type Memos = BTreeMap<(Kind, Arc<str>), Vec<u8>>;

/// Writes what a store keeps of a memo that is written on `day`, counted since 1970.
pub(super) fn encode(day: u64, memo: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(memo.len() + 8);
    bytes::put(&mut out, VERSION);
    bytes::put(&mut out, day);
    out.extend_from_slice(memo);
    bytes::seal(&mut out);
    out
}

/// Reads what a store keeps: the day, and the memo.
///
/// # Errors
/// When it is not what was written, or of a version that came later.
pub(super) fn decode(record: &[u8]) -> Result<(u64, &[u8]), Unread> {
    let mut rest = bytes::unseal(record)?;
    match bytes::take(&mut rest)? {
        VERSION => {}
        newer => return Err(Unread::Newer(newer, VERSION)),
    }
    let day = bytes::take(&mut rest)?;
    Ok((day, rest))
}

/// Tells whether what a store keeps is to be forgotten on `today`: it was not written for long. What cannot be read is left
/// to a newer Pacer, or to whoever writes it anew.
pub(super) fn is_forgotten(record: &[u8], today: u64) -> bool {
    decode(record).is_ok_and(|(day, _)| day + DAYS < today)
}

/// What is taken of a budget of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Take {
    /// Whose budget it is.
    pub(crate) name: Arc<str>,
    /// The day that the budget is of, counted since 1970.
    pub(crate) day: u64,
    /// What is asked for.
    pub(crate) ask: PicoUsd,
    /// What was taken before on that day and is given back.
    pub(crate) back: PicoUsd,
    /// What may be taken in all on that day.
    pub(crate) limit: PicoUsd,
}

impl Take {
    /// Takes from what a store keeps: returns what it is to keep, and what was given. A record that cannot be read counts as
    /// a budget that is spent, until the next day: nothing is ever spent twice.
    ///
    /// # Errors
    /// When the record is of a version that came later.
    pub(super) fn from(&self, record: Option<&[u8]>) -> Result<(Vec<u8>, PicoUsd), Unread> {
        let taken = match record.map(read_spend) {
            Some(Ok((day, taken))) if day == self.day => taken,
            None | Some(Ok(_)) => PicoUsd::ZERO,
            Some(Err(Unread::Damaged(_))) => self.limit,
            Some(Err(newer)) => return Err(newer),
        };
        let taken = taken - self.back;
        let given = self.ask.min(self.limit - taken);
        let mut memo = Vec::new();
        bytes::put(&mut memo, self.day);
        // 18 million USD, which is more than a day's budget may be.
        bytes::put(&mut memo, u64::try_from((taken + given).0).unwrap_or(u64::MAX));
        Ok((memo, given))
    }
}

fn read_spend(record: &[u8]) -> Result<(u64, PicoUsd), Unread> {
    let (_, mut memo) = decode(record)?;
    let day = bytes::take(&mut memo)?;
    Ok((day, PicoUsd(bytes::take(&mut memo)?.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memos_come_back_and_every_spoilt_byte_is_told() {
        let record = encode(20_700, b"what was learned");
        assert_eq!(decode(&record), Ok((20_700, &b"what was learned"[..])));
        for place in 0..record.len() {
            let mut spoilt = record.clone();
            spoilt[place] ^= 0x10;
            assert!(decode(&spoilt).is_err(), "byte {place}");
        }
        let mut newer = vec![9, 1];
        bytes::seal(&mut newer);
        assert_eq!(decode(&newer), Err(Unread::Newer(9, VERSION)));
        assert!(!is_forgotten(&record, 20_700 + DAYS) && is_forgotten(&record, 20_701 + DAYS));
        assert!(!is_forgotten(&newer, 99_999), "it is a newer pacer's");
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.as_str()), Some(kind));
        }
    }

    #[test]
    fn a_budget_is_given_out_once_a_day_whoever_asks() {
        let take = |day, ask, back| Take {
            name: "film".into(),
            day,
            ask: PicoUsd(ask),
            back: PicoUsd(back),
            limit: PicoUsd(100),
        };
        let mut record: Option<Vec<u8>> = None;
        let mut given = |take: Take| {
            let (memo, given) = take.from(record.as_deref()).unwrap();
            record = Some(encode(take.day, &memo));
            given.0
        };
        assert_eq!(given(take(7, 60, 0)), 60);
        assert_eq!(given(take(7, 60, 0)), 40, "what is left");
        assert_eq!(given(take(7, 60, 0)), 0);
        assert_eq!(given(take(7, 0, 30)), 0, "given back");
        assert_eq!(given(take(7, 60, 0)), 30);
        assert_eq!(given(take(8, 60, 0)), 60, "another day");
        let spoilt = take(8, 60, 0).from(Some(b"spoilt")).unwrap();
        assert_eq!(spoilt.1, PicoUsd::ZERO, "what cannot be read is taken for spent");
    }
}
