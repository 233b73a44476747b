//! `zhenbei openapi`: the description of the HTTP interface on standard output.

use std::io::Write as _;

use super::Failure;
use crate::api;

pub(super) fn run() -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{}", api::openapi_json())?;
    Ok(())
}
