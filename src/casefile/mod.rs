//! The case file (案卷): opened by one, decided by another, closed by a third look.
//!
//! Promises: a step is possible only in the states of one table; who opened or filed a case does not close it; two people
//! never overwrite one another; what happened stays written.

mod cases;
mod new_case;
mod steps;

pub use cases::{CaseFile, CaseListed, CasePage, CaseQuery, Cases};
pub use new_case::NewCase;
pub use steps::{next, possible};
