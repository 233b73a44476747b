//! From a moment to an exhibit on a case: footage, track and still copied out of the archive, so that retention cannot take them.
//!
//! Promises: the bytes are the archive's own, hashed before they are named; what is derived names its parent and recipe; the
//! manifest lists every file; a crash in the middle is taken up again; an exhibit is `ready` whole or `failed` with what to do.

mod bundle;
mod canonical;
mod case_json;
mod copier;
mod copying;
mod derived;
mod exhibits;
mod files;
mod holds;
mod making;
mod manifest;
mod request;
mod sources;
mod track;
mod zip;

pub use bundle::Bundle;
pub use canonical::to_canonical;
pub use copier::Copier;
pub use derived::{Make, NewDerived};
pub use exhibits::{Counts, Exhibits, Parts};
pub use files::{OpenFile, Reading};
pub use holds::Holds;
pub use request::{NewExhibit, Subject};
pub use sources::{SourceClip, SourceStill, Sources};
