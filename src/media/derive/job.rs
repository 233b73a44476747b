//! In a worker: one order in, one file and one answer out.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::order::{DeriveOrder, Derived, Recipe};
use super::write::Made;
use super::{cut, low, sheet};
use crate::media::protocol::Message;
use crate::media::worker::{Input, Output, name_of};

/// Between two signs of life.
const TELL: Duration = Duration::from_millis(500);

pub(super) struct Job<'a> {
    pub(super) order: &'a DeriveOrder,
    output: &'a mut Output,
    told: Option<Instant>,
}

impl Job<'_> {
    /// Says now and then how far the job is; an error when nobody listens any more.
    pub(super) fn alive(&mut self, done: usize, of: usize) -> Result<(), String> {
        if self.told.is_some_and(|t| t.elapsed() < TELL) {
            return Ok(());
        }
        self.told = Some(Instant::now());
        let permille = u32::try_from(done.saturating_mul(1_000) / of.max(1)).unwrap_or(1_000);
        self.output
            .send(&Message::Progress {
                permille: permille.min(1_000),
            })
            .map_err(|e| format!("the daemon does not listen: {e}"))
    }

    /// The last step: all is there and is put together.
    pub(super) fn writing(&mut self) -> io::Result<()> {
        self.alive(1, 1).map_err(io::Error::other)
    }

    /// A place for encoded samples beside the result.
    pub(super) fn scratch(&self) -> Result<Made, String> {
        let mut path = self.order.out.clone().into_os_string();
        path.push(".made");
        Made::create(&PathBuf::from(path)).map_err(|e| format!("no scratch file can be made: {e}"))
    }
}

pub(crate) fn serve(mut input: Input, mut output: Output) -> io::Result<()> {
    ffmpeg_next::init().map_err(io::Error::other)?;
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Error);
    while let Some(message) = input.next()? {
        let name = name_of(&message);
        if message == Message::Stop {
            return Ok(());
        }
        let Message::Derive { order } = message else {
            return Err(io::Error::other(format!("a derive worker was sent {name}")));
        };
        let order: DeriveOrder = serde_json::from_str(&order).map_err(io::Error::other)?;
        let answer = match run(&order, &mut output) {
            Ok(derived) => Message::DeriveDone {
                derived: serde_json::to_string(&derived).map_err(io::Error::other)?,
            },
            Err(why) => Message::DeriveRefused { why },
        };
        output.send(&answer)?;
    }
    Ok(())
}

fn run(order: &DeriveOrder, output: &mut Output) -> Result<Derived, String> {
    let mut job = Job {
        order,
        output,
        told: None,
    };
    match order.recipe {
        Recipe::ExactCut { from_us, to_us } => cut::run(&mut job, from_us, to_us),
        Recipe::Still { at_us } => sheet::still(&mut job, at_us),
        Recipe::ContactSheet { columns, rows } => sheet::sheet(&mut job, columns, rows),
        Recipe::LowCopy { from_us, to_us } => low::run(&mut job, from_us, to_us),
    }
}
