//! Where vehicles are and were.

pub mod decode;
pub mod topic;
