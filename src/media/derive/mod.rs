//! What is made of a clip: an exact cut, a still, a contact sheet, a low-bitrate copy. Each by a worker process of its own.
//!
//! Promises: the clip is only read; a picture that can be copied is copied and not encoded; what the decoder had to guess
//! does not become a cut or a still; the same clip and recipe give the same bytes; a crash costs one job.

mod boxes;
mod codec;
mod cut;
pub(super) mod fuzzing;
mod glyphs;
mod job;
mod low;
mod movie;
mod nal;
mod order;
mod pool;
mod seams;
mod sheet;
mod write;

pub(super) use job::serve;
pub use order::{DeriveOrder, Derived, RECIPE_VERSION, Recipe, patience};
pub(super) use pool::DerivePool;
