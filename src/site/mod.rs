//! The register: which cameras and vehicles the site has. Changed through the console, the interface or `zhenbei apply`;
//! every change counts the revision up in the database, and every node follows it.

mod diff;
mod register;

pub use diff::{SiteDiff, diff};
pub use register::Register;
