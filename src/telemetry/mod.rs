//! What the daemon says about itself: logs to standard error, numbers for `/metrics`.
//!
//! Names of numbers are one enum, [`Metric`]; nobody else names one. What can happen thousands of times a second is counted
//! always and said at most once a second ([`SayOncePerSecond`]).

mod log;
mod metric;
mod numbers;
mod once_per_second;

pub use log::start_logging;
pub use metric::{Kind, Metric};
pub use metrics::Counter;
pub use numbers::{Numbers, count, counter, gauge, observe};
pub use once_per_second::SayOncePerSecond;
