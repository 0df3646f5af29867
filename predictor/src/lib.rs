//! What will come, what to hold ready, what it would cost.
//!
//! Pure: time and randomness are arguments, nothing here does I/O. It learns how long requests take
//! ([`profile`]) from the records that finished requests leave behind ([`outcome`]), reads recorded traffic ([`trace`]), replays it
//! ([`replay`]) under planners of capacity ([`plan`]), and tells of trouble ahead ([`radar`]).

pub mod outcome;

pub mod profile;

pub mod trace;

pub mod forecast;

pub mod plan;

pub mod replay;

pub mod radar;
