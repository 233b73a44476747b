//! An archive, a decoder and a fleet that exist only in this test, and an evidence storage that can be made to fail.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zhenbei::access::Actor;
use zhenbei::casefile::Cases;
use zhenbei::evidence::{
    Copier, Exhibits, NewExhibit, Parts, SourceClip, SourceStill, Sources, Subject,
};
use zhenbei::media::{DeriveOrder, Derived};
use zhenbei::model::{
    CameraId, CaseId, Error, Exhibit, Fix, FixFlags, FragmentName, GapCause, GeoPoint, Result,
    StreamKey, StreamRole, TakenFragments, TimeRange, UtcMicros, VehicleId,
};
use zhenbei::store::{BlobName, Blobs, ByteStream, Folder, Stored};

use crate::a_case_goes_its_way::{cases, muck_on_the_road};
use crate::support::{Centre, START};

/// What was recorded: 3 MB that are not all alike.
pub(crate) fn footage() -> Vec<u8> {
    static FOOTAGE: OnceLock<Vec<u8>> = OnceLock::new();
    let make = || {
        (0..3_000_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect()
    };
    FOOTAGE.get_or_init(make).clone()
}

pub(crate) const PICTURE: &[u8] = b"\xff\xd8 a picture \xff\xd9";

#[derive(Default)]
pub(crate) struct Recorded {
    /// Retention has taken everything.
    pub(crate) gone: AtomicBool,
    pub(crate) no_decoder: AtomicBool,
    /// The disk of the archive fails in the middle of the clip.
    pub(crate) breaks: AtomicBool,
    /// The clip never ends.
    pub(crate) hangs: AtomicBool,
    pub(crate) clips: AtomicUsize,
    /// What is derived is never made.
    pub(crate) making_hangs: AtomicBool,
    pub(crate) derived: AtomicUsize,
}

fn fragment(seq: i64) -> FragmentName {
    FragmentName {
        seq,
        sha256: "0f".repeat(32),
    }
}

#[async_trait]
impl Sources for Recorded {
    async fn clip(&self, stream: &StreamKey, range: TimeRange) -> Result<SourceClip> {
        if self.gone.load(Ordering::SeqCst) || stream.camera.as_str() != "cam-001" {
            return Err(Error::not_found(
                "no_footage",
                format!("nothing of {stream} is recorded in this range"),
            ));
        }
        self.clips.fetch_add(1, Ordering::SeqCst);
        let mut pieces: Vec<io::Result<Bytes>> = footage()
            .chunks(100_000)
            .map(|c| Ok(Bytes::copy_from_slice(c)))
            .collect();
        if self.breaks.load(Ordering::SeqCst) {
            pieces[20] = Err(io::Error::other("medium error"));
        }
        let bytes = if self.hangs.load(Ordering::SeqCst) {
            stream::iter(pieces.into_iter().take(10))
                .chain(stream::pending())
                .boxed()
        } else {
            stream::iter(pieces).boxed()
        };
        // The last pictures are lost.
        let end = range.to - 200_000;
        Ok(SourceClip {
            len: 3_000_000,
            etag: "\"abc\"".into(),
            delivered: TimeRange { to: end, ..range },
            gaps: vec![(TimeRange { from: end, ..range }, GapCause::RtpLoss)],
            fragments: Some(TakenFragments {
                count: 3,
                first: fragment(7),
                last: fragment(9),
            }),
            bytes,
        })
    }

    async fn clock(&self, _: &StreamKey, _: TimeRange) -> Result<zhenbei::model::FragmentClock> {
        Ok(zhenbei::model::FragmentClock::default())
    }

    async fn derive(&self, order: DeriveOrder) -> Result<Derived> {
        self.derived.fetch_add(1, Ordering::SeqCst);
        if self.making_hangs.load(Ordering::SeqCst) {
            std::fs::write(&order.out, "half").unwrap();
            std::future::pending::<()>().await;
        }
        if self.no_decoder.load(Ordering::SeqCst) {
            let name = order.recipe.name();
            return Err(Error::unavailable(
                "worker_died",
                format!("the worker making {name} died: it was ended by signal 11"),
            ));
        }
        let clip = std::fs::read(&order.clip).unwrap();
        let made = format!("{} of {} bytes", order.recipe.name(), clip.len());
        std::fs::write(&order.out, &made).unwrap();
        Ok(Derived {
            bytes: made.len() as u64,
            from_us: 4_960_000,
            to_us: 15_000_000,
            copied: 200,
            encoded: 51,
            encoder: Some("libx264".into()),
            settings: "crf=14".into(),
            audio: "copied".into(),
            notes: Vec::new(),
        })
    }

    async fn still(&self, _: &StreamKey, at: UtcMicros) -> Result<Option<SourceStill>> {
        if self.no_decoder.load(Ordering::SeqCst) {
            return Err(Error::unavailable(
                "media_down",
                "the decoder does not answer",
            ));
        }
        Ok((!self.gone.load(Ordering::SeqCst)).then(|| SourceStill {
            jpeg: Bytes::from_static(PICTURE),
            at,
        }))
    }

    async fn track(&self, vehicle: &VehicleId, range: TimeRange, limit: usize) -> Result<Vec<Fix>> {
        if self.gone.load(Ordering::SeqCst) || vehicle.as_str() != "truck-017" {
            return Ok(Vec::new());
        }
        let fixes = (0..range.micros() / 1_000_000).map(|s| Fix {
            vehicle: vehicle.clone(),
            time: range.from + s * 1_000_000,
            received: range.from + s * 1_000_000 + 300_000,
            place: GeoPoint {
                lon: 109.7 + s as f64 * 1e-4,
                lat: 38.28,
            },
            speed_kmh: Some(31.5),
            course_deg: None,
            altitude_m: None,
            ignition: None,
            source: "mqtt:127.0.0.1:1883".into(),
            flags: FixFlags::default(),
        });
        Ok(fixes.take(limit).collect())
    }
}

/// A folder whose disk can be full, or which stops answering when one file is to be written.
pub(crate) struct Storage {
    pub(crate) folder: Folder,
    pub(crate) nothing_free: AtomicBool,
    /// Fills up after a megabyte, whatever it said before.
    pub(crate) fills_up: AtomicBool,
    pub(crate) hangs_at_manifest: AtomicBool,
}

#[async_trait]
impl Blobs for Storage {
    async fn put_once(&self, name: &BlobName, bytes: ByteStream) -> Result<Stored> {
        if self.hangs_at_manifest.load(Ordering::SeqCst) && name.as_str().ends_with("manifest.json")
        {
            std::future::pending::<()>().await;
        }
        if self.fills_up.load(Ordering::SeqCst) {
            let mut bytes = bytes;
            let mut taken = 0;
            while let Some(piece) = bytes.next().await {
                taken += piece.map_or(0, |p| p.len());
                if taken > 1_000_000 {
                    return Err(Error::unavailable(
                        "disk_full",
                        "the disk of the evidence folder is full; free space on it",
                    ));
                }
            }
            unreachable!("every clip is longer");
        }
        self.folder.put_once(name, bytes).await
    }

    async fn len(&self, name: &BlobName) -> Result<Option<u64>> {
        self.folder.len(name).await
    }

    async fn read(&self, name: &BlobName, range: Range<u64>) -> Result<ByteStream> {
        self.folder.read(name, range).await
    }

    async fn delete(&self, name: &BlobName) -> Result<bool> {
        self.folder.delete(name).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<BlobName>> {
        self.folder.list(prefix).await
    }

    async fn free(&self) -> Result<Option<u64>> {
        if self.nothing_free.load(Ordering::SeqCst) {
            return Ok(Some(1 << 20));
        }
        self.folder.free().await
    }
}

/// The centre with its evidence room at work.
pub(crate) struct Evidence {
    pub(crate) centre: Centre,
    pub(crate) cases: Cases,
    pub(crate) recorded: Arc<Recorded>,
    pub(crate) storage: Arc<Storage>,
    pub(crate) exhibits: Exhibits,
    copier: Option<Copier>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Evidence {
    pub(crate) async fn new() -> Self {
        let mut e = Self::stopped().await;
        e.start();
        e
    }

    pub(crate) async fn stopped() -> Self {
        let centre = Centre::new().await;
        let cases = cases(&centre);
        let storage = Arc::new(Storage {
            folder: Folder::open(centre.dir.path().join("evidence"))
                .await
                .unwrap(),
            nothing_free: AtomicBool::new(false),
            fills_up: AtomicBool::new(false),
            hangs_at_manifest: AtomicBool::new(false),
        });
        let recorded = Arc::new(Recorded::default());
        let (exhibits, copier) = Self::room(&centre, &cases, &storage, &recorded);
        Self {
            centre,
            cases,
            recorded,
            storage,
            exhibits,
            copier: Some(copier),
            running: None,
        }
    }

    fn room(
        c: &Centre,
        cases: &Cases,
        storage: &Arc<Storage>,
        recorded: &Arc<Recorded>,
    ) -> (Exhibits, Copier) {
        Exhibits::new(Parts {
            db: c.db.clone(),
            audit: c.audit.clone(),
            blobs: storage.clone(),
            sources: recorded.clone(),
            clock: c.clock.clone(),
            changes: cases.announcer(),
            scratch: c.dir.path().join("derive"),
        })
    }

    #[allow(clippy::disallowed_methods, reason = "the test is the supervisor")]
    pub(crate) fn start(&mut self) {
        let stop = CancellationToken::new();
        let copier = self.copier.take().expect("not started yet");
        self.running = Some((stop.clone(), tokio::spawn(copier.run(stop))));
    }

    /// Ends the copier where it is, as a crash would; begins anew on the same database and storage.
    pub(crate) async fn restart(&mut self) {
        if let Some((_, task)) = self.running.take() {
            task.abort();
            task.await.unwrap_err();
        }
        let (exhibits, copier) =
            Self::room(&self.centre, &self.cases, &self.storage, &self.recorded);
        (self.exhibits, self.copier) = (exhibits, Some(copier));
        self.start();
    }

    pub(crate) async fn stop(&mut self) {
        let (stop, task) = self.running.take().expect("runs");
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), task)
            .await
            .expect("stops when told")
            .unwrap();
    }

    pub(crate) async fn case(&self, actor: &Actor) -> CaseId {
        self.cases
            .open(actor, muck_on_the_road(START))
            .await
            .unwrap()
            .case
            .id
    }

    /// Attaches and waits for the end.
    pub(crate) async fn attached(&self, actor: &Actor, case: CaseId, new: NewExhibit) -> Exhibit {
        let id = self.exhibits.attach(actor, case, new).await.unwrap().id;
        self.exhibits
            .settled(actor, case, id, Duration::from_secs(20))
            .await
            .unwrap()
    }

    pub(crate) fn stored(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut folders = vec![self.centre.dir.path().join("evidence")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        names.sort();
        names
    }
}

/// The last 20 seconds of cam-001.
pub(crate) fn clip() -> NewExhibit {
    NewExhibit {
        subject: Subject::Camera {
            camera: CameraId::new("cam-001").unwrap(),
            stream: StreamRole::Main,
        },
        range: TimeRange {
            from: START - 20_000_000,
            to: START,
        },
        purpose: "热线投诉核实".into(),
    }
}

pub(crate) fn track() -> NewExhibit {
    NewExhibit {
        subject: Subject::Vehicle(VehicleId::new("truck-017").unwrap()),
        ..clip()
    }
}
