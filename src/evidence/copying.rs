//! One exhibit from `working` to `ready`. Every step can be done again: what lies in storage is whole (it got its name after its
//! last byte was durable) and is hashed anew instead of copied.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::exhibits::{Inner, blob, folder};
use super::manifest::{Facts, Registered, manifest};
use super::request::{MOST_FIXES, no_positions, too_many_fixes};
use super::sources::SourceClip;
use super::track;
use crate::access::{Action, Actor, audited};
use crate::model::{
    Error, Exhibit, ExhibitFile, ExhibitId, ExhibitKind, ExhibitState, Fix, GapCause, Result,
    StreamKey, StreamRole, TimeRange, UtcMicros,
};
use crate::store::database::{ExhibitOrigin, StoredFile};
use crate::store::{BlobName, ByteStream, Stored};
use crate::telemetry::{self, Metric};

pub(super) const CLIP: &str = "clip.mp4";
pub(super) const STILL: &str = "still.jpg";
pub(super) const TRACK: &str = "track.geojson";
pub(super) const MANIFEST: &str = "manifest.json";

/// Left free on the disk of the evidence, for manifests and the database beside it.
const KEPT_FREE: u64 = 64 << 20;
/// How long to wait for the end of a range to become durable, twice as long each time: the archive syncs every second, but a
/// fragment is written when its GOP is whole.
const NOT_YET_WAIT: Duration = Duration::from_millis(500);
const NOT_YET_LONGEST: Duration = Duration::from_secs(8);

pub(super) async fn copy(inner: &Inner, id: ExhibitId) -> Result<()> {
    let Some((exhibit, origin)) = inner.parts.db.exhibit(id).await? else {
        return Ok(());
    };
    if exhibit.state != ExhibitState::Working {
        return Ok(());
    }
    let object = format!("case/{} exhibit/{id}", exhibit.case);
    let actor = Actor::system("evidence");
    let purpose = format!("attach #{}: {}", origin.audit_seq, exhibit.purpose);
    audited(
        &inner.parts.audit,
        &actor,
        Action::Copy,
        &object,
        &purpose,
        async {
            let job = Job {
                inner,
                exhibit,
                origin,
                files: Vec::new(),
                notes: Vec::new(),
            };
            job.run().await
        },
    )
    .await
}

/// Counts a failed exhibit, tells who watches, and removes what it left in storage.
pub(super) async fn bury(inner: &Inner, id: ExhibitId) {
    let work = async {
        let Some((exhibit, _)) = inner.parts.db.exhibit(id).await? else {
            return Ok(());
        };
        let labels = [("kind", exhibit.kind.as_str()), ("outcome", "failed")];
        telemetry::count(Metric::Exhibits, &labels, 1);
        inner.announce(&inner.case(exhibit.case).await?);
        for name in inner.parts.blobs.list(&folder(&exhibit)).await? {
            inner.parts.blobs.delete(&name).await?;
        }
        Ok::<(), Error>(())
    };
    if let Err(e) = work.await {
        tracing::warn!(exhibit = %id, error = %e.chain(), "files of a failed exhibit stay in storage");
    }
}

pub(super) struct Job<'a> {
    pub(super) inner: &'a Inner,
    pub(super) exhibit: Exhibit,
    origin: ExhibitOrigin,
    files: Vec<StoredFile>,
    pub(super) notes: Vec<String>,
}

impl Job<'_> {
    async fn run(mut self) -> Result<()> {
        let (mut fixes, mut derivation) = (None, None);
        match self.exhibit.kind {
            ExhibitKind::Clip => self.clip().await?,
            ExhibitKind::Track => fixes = Some(self.track().await?),
            ExhibitKind::ExactCut
            | ExhibitKind::Still
            | ExhibitKind::ContactSheet
            | ExhibitKind::LowCopy => derivation = Some(self.derived().await?),
        }
        self.manifest(fixes.as_deref(), derivation).await?;
        let note = (!self.notes.is_empty()).then(|| self.notes.join(" "));
        let id = self.exhibit.id;
        if self
            .inner
            .parts
            .db
            .finish_exhibit(id, &self.files, note.as_deref())
            .await?
        {
            let bytes = self.files.iter().map(|f| f.file.bytes).sum();
            self.inner.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.inner.ready.fetch_add(1, Ordering::Relaxed);
            let labels = [("kind", self.exhibit.kind.as_str()), ("outcome", "ready")];
            telemetry::count(Metric::Exhibits, &labels, 1);
            self.inner
                .announce(&self.inner.case(self.exhibit.case).await?);
        }
        Ok(())
    }

    async fn clip(&mut self) -> Result<()> {
        let camera = self
            .exhibit
            .camera
            .clone()
            .ok_or_else(|| incomplete(&self.exhibit))?;
        let key = StreamKey::new(camera, self.exhibit.stream.unwrap_or(StreamRole::Main));
        let name = blob(&self.exhibit, CLIP)?;
        // Before the first byte is copied the row says what the clip covers: a whole clip in storage belongs to it.
        let copied = match self.exhibit.delivered {
            Some(_) => self.already_there(&name).await?,
            None => None,
        };
        let stored = match copied {
            Some(stored) => stored,
            None => self.copy_clip(&key, &name).await?,
        };
        self.add(CLIP, stored, "video/mp4", None, None);
        self.still(&key).await
    }

    async fn copy_clip(&mut self, key: &StreamKey, name: &BlobName) -> Result<Stored> {
        let parts = &self.inner.parts;
        let clip = self.clip_when_durable(key).await?;
        self.has_room(clip.len).await?;
        parts
            .db
            .plan_exhibit(
                self.exhibit.id,
                clip.delivered,
                &clip.gaps,
                clip.fragments.as_ref(),
            )
            .await?;
        self.exhibit.delivered = Some(clip.delivered);
        self.exhibit.gaps = clip.gaps;
        self.exhibit.fragments = clip.fragments;
        parts.blobs.delete(name).await?;
        let stored = parts.blobs.put_once(name, clip.bytes).await?;
        if stored.bytes != clip.len {
            parts.blobs.delete(name).await?;
            return Err(Error::unavailable(
                "short_copy",
                format!(
                    "{key}: {} of {} bytes of the clip could be read; look at the archive's disk",
                    stored.bytes, clip.len
                ),
            ));
        }
        Ok(stored)
    }

    /// "Until now" is asked for a moment before it is durable: waits a little for the end.
    async fn clip_when_durable(&self, key: &StreamKey) -> Result<SourceClip> {
        let mut wait = NOT_YET_WAIT;
        loop {
            let clip = self
                .inner
                .parts
                .sources
                .clip(key, self.exhibit.requested)
                .await?;
            let pending = clip
                .gaps
                .iter()
                .any(|(_, cause)| *cause == GapCause::NotYet);
            if !pending || wait > NOT_YET_LONGEST {
                return Ok(clip);
            }
            // Not kept while waiting: it holds files against retention.
            drop(clip);
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }

    /// The clip stands without its still: a decoder's failure must not cost evidence. It is noted instead.
    async fn still(&mut self, key: &StreamKey) -> Result<()> {
        let name = blob(&self.exhibit, STILL)?;
        let at = self
            .exhibit
            .delivered
            .map_or(self.exhibit.requested.from, |d| d.from);
        let recipe = "first key frame of the clip, decoded and written as JPEG".to_owned();
        if let Some(stored) = self.already_there(&name).await? {
            self.add(STILL, stored, "image/jpeg", Some(CLIP), Some(recipe));
            return Ok(());
        }
        let why = match self.inner.parts.sources.still(key, at).await {
            Ok(Some(still)) => {
                let stored = self.put(&name, still.jpeg).await?;
                let recipe = format!("{recipe}; taken at {}", still.at);
                self.add(STILL, stored, "image/jpeg", Some(CLIP), Some(recipe));
                return Ok(());
            }
            Ok(None) => format!("no key frame at {at}"),
            Err(e) => {
                tracing::warn!(exhibit = %self.exhibit.id, error = %e.chain(), "no still");
                e.detail().to_owned()
            }
        };
        self.notes
            .push(format!("There is no still picture: {why}."));
        Ok(())
    }

    async fn track(&mut self) -> Result<Vec<Fix>> {
        let parts = &self.inner.parts;
        let vehicle = self
            .exhibit
            .vehicle
            .clone()
            .ok_or_else(|| incomplete(&self.exhibit))?;
        let fixes = parts
            .sources
            .track(&vehicle, self.exhibit.requested, MOST_FIXES + 1)
            .await?;
        if fixes.len() > MOST_FIXES {
            return Err(too_many_fixes());
        }
        let Some(covered) = track::covered(&fixes) else {
            return Err(no_positions(&vehicle, self.exhibit.requested));
        };
        let name = blob(&self.exhibit, TRACK)?;
        self.has_room(0).await?;
        // Cheap to write again, and the manifest counts these fixes: a file from before a restart would have to match them.
        parts.blobs.delete(&name).await?;
        parts
            .db
            .plan_exhibit(self.exhibit.id, covered, &[], None)
            .await?;
        self.exhibit.delivered = Some(covered);
        let stored = parts
            .blobs
            .put_once(&name, track::geojson(fixes.clone()))
            .await?;
        self.add(TRACK, stored, "application/geo+json", None, None);
        Ok(fixes)
    }

    async fn manifest(&mut self, fixes: Option<&[Fix]>, derivation: Option<Value>) -> Result<()> {
        let name = blob(&self.exhibit, MANIFEST)?;
        // One from before a restart may not name what was made after it.
        self.inner.parts.blobs.delete(&name).await?;
        let text = self.manifest_text(fixes, derivation).await?;
        let stored = self.put(&name, text.into()).await?;
        self.add(MANIFEST, stored, "application/json", None, None);
        Ok(())
    }

    async fn manifest_text(
        &self,
        fixes: Option<&[Fix]>,
        derivation: Option<Value>,
    ) -> Result<String> {
        let db = &self.inner.parts.db;
        let x = &self.exhibit;
        let registered = match (&x.camera, &x.vehicle) {
            (Some(camera), _) => Registered::Camera(db.camera(camera).await?),
            (None, vehicle) => Registered::Vehicle(
                db.vehicles()
                    .await?
                    .into_iter()
                    .find(|v| Some(&v.id) == vehicle.as_ref()),
            ),
        };
        // The recording may be gone when something is made of its clip; the clip's own manifest tells.
        let clock = match (&x.camera, x.delivered) {
            (Some(camera), Some(delivered)) if !x.kind.is_derived() => {
                let key = StreamKey::new(camera.clone(), x.stream.unwrap_or(StreamRole::Main));
                Some(self.inner.parts.sources.clock(&key, delivered).await?)
            }
            _ => None,
        };
        let files: Vec<ExhibitFile> = self.files.iter().map(|f| f.file.clone()).collect();
        manifest(&Facts {
            case: &self.inner.case(x.case).await?,
            exhibit: x,
            origin: &self.origin,
            registered,
            site_revision: db.site_revision().await?,
            delivered: x.delivered.unwrap_or(TimeRange {
                from: UtcMicros(0),
                to: UtcMicros(0),
            }),
            files: &files,
            notes: &self.notes,
            clock,
            fixes,
            derivation,
            completed_at: self.inner.parts.clock.now(),
        })
    }

    pub(super) fn add(
        &mut self,
        name: &str,
        stored: Stored,
        media_type: &str,
        derived_from: Option<&str>,
        recipe: Option<String>,
    ) {
        let file = ExhibitFile {
            name: name.into(),
            bytes: stored.bytes,
            sha256: stored.sha256,
            media_type: media_type.into(),
            derived_from: derived_from.map(str::to_owned),
            recipe,
        };
        self.files.push(StoredFile {
            file,
            crc32: stored.crc32,
        });
    }

    async fn put(&self, name: &BlobName, bytes: Bytes) -> Result<Stored> {
        let one: ByteStream = stream::iter([Ok(bytes)]).boxed();
        self.inner.parts.blobs.put_once(name, one).await
    }

    /// A clear word before the copy begins, instead of an error in its middle.
    pub(super) async fn has_room(&self, bytes: u64) -> Result<()> {
        let Some(free) = self.inner.parts.blobs.free().await? else {
            return Ok(());
        };
        if free >= bytes.saturating_add(KEPT_FREE) {
            return Ok(());
        }
        Err(Error::unavailable(
            "disk_full",
            format!(
                "the evidence storage has {} MB free and the exhibit needs {} MB; free space on it",
                free >> 20,
                bytes.saturating_add(KEPT_FREE) >> 20
            ),
        ))
    }

    pub(super) async fn already_there(&self, name: &BlobName) -> Result<Option<Stored>> {
        let blobs = &self.inner.parts.blobs;
        let Some(bytes) = blobs.len(name).await? else {
            return Ok(None);
        };
        let mut pieces = blobs.read(name, 0..bytes).await?;
        let mut sha256 = Sha256::new();
        let mut crc32 = crc32fast::Hasher::new();
        let mut read = 0_u64;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|e| {
                Error::unavailable("evidence_storage_down", format!("cannot read {name}"))
                    .because(e)
            })?;
            sha256.update(&piece);
            crc32.update(&piece);
            read += u64::try_from(piece.len()).unwrap_or(0);
        }
        if read != bytes {
            return Err(Error::unavailable(
                "evidence_storage_down",
                format!("cannot read all of {name}"),
            ));
        }
        Ok(Some(Stored {
            bytes,
            sha256: hex::encode(sha256.finalize()),
            crc32: crc32.finalize(),
        }))
    }
}

fn incomplete(x: &Exhibit) -> Error {
    Error::internal(
        "bad_row",
        format!("the exhibit {} names neither camera nor vehicle", x.id),
    )
}
