//! The daemon as a whole: parts started in order, stopped in reverse.

mod exhibit_sources;
mod numbers;
mod shutdown;
mod stage;
mod start;
mod systemd;

pub use shutdown::signalled;
pub use start::{Daemon, FirstSignIn, open_store};
pub use systemd::{ready, stopping, watchdog};
