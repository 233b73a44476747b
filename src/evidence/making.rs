//! One derived exhibit from `working` to `ready`: the clip is checked against its hash, a worker makes the file, and the
//! file goes the way of all evidence.

use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use super::copying::{CLIP, Job};
use super::derived::{clip_of, completed, recipe_of, words};
use super::exhibits::blob;
use super::files::damaged;
use crate::media::{DeriveOrder, patience};
use crate::model::{Error, Exhibit, Result, TimeRange, UtcMicros};
use crate::store::BlobName;

/// Beyond the size of the clip: the seams, and tables.
const MORE: u64 = 256 << 20;

/// Removes its file when the job ends, however it ends.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_file(&self.0)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(file = %self.0.display(), error = %e, "a scratch file cannot be removed");
        }
    }
}

impl Job<'_> {
    /// Makes the file. Returns what the manifest says of it.
    pub(super) async fn derived(&mut self) -> Result<Value> {
        let parts = &self.inner.parts;
        let recipe = recipe_of(&self.exhibit)?;
        let parent = self.parent().await?;
        let covers = clip_of(&parent)?;
        let (file, media_type) = recipe.file();
        let name = blob(&self.exhibit, file)?;
        // One from before a restart may not be what this run says about it.
        parts.blobs.delete(&name).await?;
        let clip = self.clip_of(&parent).await?;
        let out = self.scratch("out");
        let order = DeriveOrder {
            recipe: recipe.clone(),
            clip: clip.path.clone(),
            starts: covers.from,
            out: out.0.clone(),
            max_bytes: clip.bytes.saturating_add(MORE),
            patience: patience(),
        };
        let made = parts.sources.derive(order).await?;
        let stored = {
            let result = tokio::fs::File::open(&out.0)
                .await
                .map_err(scratch_failed)?;
            parts
                .blobs
                .put_once(
                    &name,
                    ReaderStream::with_capacity(result, 256 << 10).boxed(),
                )
                .await?
        };
        if stored.bytes != made.bytes {
            parts.blobs.delete(&name).await?;
            return Err(Error::unavailable(
                "short_copy",
                format!(
                    "{} of {} bytes of {name} could be read back; look at the disk of the data folder",
                    stored.bytes, made.bytes
                ),
            ));
        }
        let delivered = TimeRange {
            from: covers.from + made.from_us,
            to: covers.from + made.to_us,
        };
        let gaps: Vec<_> = parent
            .gaps
            .iter()
            .filter_map(|(gap, cause)| Some((gap.intersect(&delivered)?, *cause)))
            .collect();
        let id = self.exhibit.id;
        let now = parts.clock.now();
        let recipe_done = completed(&self.exhibit, &made, now);
        parts.db.plan_exhibit(id, delivered, &gaps, None).await?;
        parts.db.complete_recipe(id, &recipe_done).await?;
        self.exhibit.delivered = Some(delivered);
        self.exhibit.gaps = gaps;
        self.exhibit.recipe = Some(recipe_done.clone());
        let from = format!("exhibits/{}/{CLIP}", parent.id);
        let how = words(&recipe, &made);
        self.add(file, stored, media_type, Some(&from), Some(how));
        self.notes.extend(made.notes);
        Ok(derivation(
            &parent,
            covers,
            &clip,
            recipe_done,
            now,
            made.encoded > 0,
        ))
    }

    async fn parent(&self) -> Result<Exhibit> {
        let id = self.exhibit.derived_from.ok_or_else(|| {
            Error::internal(
                "bad_row",
                format!("the derived exhibit {} names no parent", self.exhibit.id),
            )
        })?;
        self.inner.exhibit(self.exhibit.case, id).await
    }

    /// The parent's clip as a file of this machine, after its bytes were found to be the recorded ones.
    async fn clip_of(&self, parent: &Exhibit) -> Result<Clip> {
        let blobs = &self.inner.parts.blobs;
        let name = blob(parent, CLIP)?;
        let recorded = parent.files.iter().find(|f| f.name == CLIP);
        let recorded = recorded.ok_or_else(|| {
            Error::internal("bad_row", format!("exhibit {} has no clip", parent.id))
        })?;
        let found = self.already_there(&name).await?;
        if found.is_none_or(|f| f.sha256 != recorded.sha256) {
            return Err(damaged(&format!(
                "{name} in evidence storage is not what was recorded"
            )));
        }
        let (path, bytes) = (blobs.local(&name), recorded.bytes);
        // Twice: encoded pictures wait in a scratch file until the result is put together.
        let needed = if path.is_some() { 2 * bytes } else { 3 * bytes };
        self.has_room(needed).await?;
        let mut clip = Clip {
            path: PathBuf::new(),
            bytes,
            sha256: recorded.sha256.clone(),
            fetched: None,
        };
        match path {
            Some(path) => clip.path = path,
            None => {
                let scratch = self.scratch("clip");
                self.fetch(&name, bytes, &scratch.0).await?;
                clip.path.clone_from(&scratch.0);
                clip.fetched = Some(scratch);
            }
        }
        Ok(clip)
    }

    /// A copy for the worker, when storage is not on this machine.
    async fn fetch(&self, name: &BlobName, bytes: u64, to: &Path) -> Result<()> {
        let mut pieces = self.inner.parts.blobs.read(name, 0..bytes).await?;
        let mut file = tokio::fs::File::create_new(to)
            .await
            .map_err(scratch_failed)?;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|e| {
                Error::unavailable("evidence_storage_down", format!("cannot read {name}"))
                    .because(e)
            })?;
            file.write_all(&piece).await.map_err(scratch_failed)?;
        }
        file.flush().await.map_err(scratch_failed)
    }

    fn scratch(&self, what: &str) -> Scratch {
        let name = format!("{}.{what}", self.exhibit.id);
        let folder = &self.inner.parts.scratch;
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        Scratch(folder.join(name))
    }
}

struct Clip {
    path: PathBuf,
    bytes: u64,
    sha256: String,
    #[allow(dead_code, reason = "removes the copy when dropped")]
    fetched: Option<Scratch>,
}

fn scratch_failed(e: std::io::Error) -> Error {
    Error::unavailable(
        "disk_full",
        "cannot use the folder `derive` in the data folder; look at the disk of the data folder",
    )
    .because(e)
}

fn derivation(
    parent: &Exhibit,
    covers: TimeRange,
    clip: &Clip,
    recipe: Value,
    made_at: UtcMicros,
    encoded: bool,
) -> Value {
    json!({
        "parent": {
            "exhibit": parent.id.to_string(),
            "file": CLIP,
            "sha256": clip.sha256,
            "bytes": clip.bytes,
            "camera": parent.camera,
            "stream": parent.stream,
            "delivered": {"from_us": covers.from.0, "to_us": covers.to.0},
            "fragments": parent.fragments,
        },
        "recipe": recipe,
        "made_at_us": made_at.0,
        "reencoded": encoded,
    })
}

/// Makes the folder and clears what a crash left in it.
pub(super) async fn empty(folder: &Path) -> std::io::Result<()> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    tokio::fs::create_dir_all(folder).await
}
