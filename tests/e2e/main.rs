//! The real binary with real cameras and a real broker: what an operator sees when things go wrong.

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod kill;
mod operator;
