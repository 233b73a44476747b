//! From an error to an exit code and words on standard error.

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use crate::config::ConfigErrors;
use crate::model::{Error, ErrorKind};

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// 64: the configuration cannot be used.
    Config(ConfigErrors),
    /// 65: the file given as input cannot be used.
    Data(ConfigErrors),
    /// 65 when the input was wrong, else 1.
    Failed(Error),
    /// 1.
    Other(anyhow::Error),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Failed(e)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(e: anyhow::Error) -> Self {
        Self::Other(e)
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        Self::Other(e.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(e) | Self::Data(e) => e.fmt(f),
            Self::Failed(e) => f.write_str(&e.chain()),
            Self::Other(e) => write!(f, "{e:#}"),
        }
    }
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Config(_) => 64,
            Self::Data(_) => 65,
            Self::Failed(e) if e.kind() == ErrorKind::Invalid => 65,
            Self::Failed(_) | Self::Other(_) => 1,
        }
    }
}

pub(super) fn code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to tell when standard error is closed.
            writeln!(std::io::stderr(), "zhenbei: {failure}").ok();
            ExitCode::from(failure.code())
        }
    }
}
