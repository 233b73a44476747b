//! Deletes what is too old or too much, oldest first; never what is held, never what is being read.
//!
//! A hold keeps exactly the fragments its pictures need to be decoded; the others of the same file are given back to the disk
//! by making holes, where the file system can. Order: holds looked at once more, tombstone and gap into the index, rows out
//! (one transaction), then the bytes. A crash in between leaves an unfinished tombstone, which the next pass finishes.

mod forecast;
mod pass;
mod pins;
mod rules;
mod runs;
mod tidy;

#[cfg(test)]
mod model;

pub use forecast::{FloorState, Forecast};
pub(super) use pins::{Pinned, Pins};
