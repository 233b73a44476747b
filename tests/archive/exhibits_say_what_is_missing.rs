//! Evidence from the real archive: a range that reaches to now, or begins before the first picture, is told for what it is.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhenbei::access::{Access, Actor, Audit, NewUser, Role};
use zhenbei::archive::Archive;
use zhenbei::casefile::{Cases, NewCase};
use zhenbei::config::AccessConfig;
use zhenbei::evidence::{Exhibits, NewExhibit, Parts, SourceClip, SourceStill, Sources, Subject};
use zhenbei::media::{DeriveOrder, Derived};
use zhenbei::model::{
    CaseId, Error, Exhibit, ExhibitState, FaultKind, Fix, GapCause, GeoPoint, Result, StreamKey,
    StreamRole, TimeRange, UtcMicros, VehicleId,
};
use zhenbei::store::Folder;

use crate::footage;
use crate::house::{House, SECOND, T0, at, key, probe_file, range};

/// The archive as the daemon offers it, and what it answered.
struct Recordings {
    archive: Archive,
    told: Mutex<Vec<Vec<(TimeRange, GapCause)>>>,
}

#[async_trait]
impl Sources for Recordings {
    async fn clip(&self, stream: &StreamKey, range: TimeRange) -> Result<SourceClip> {
        let clip = self.archive.clip(stream, range).await?;
        self.told.lock().unwrap().push(clip.gaps().to_vec());
        let len = clip.len();
        Ok(SourceClip {
            len,
            etag: clip.etag().to_owned(),
            delivered: clip.delivered(),
            gaps: clip.gaps().to_vec(),
            fragments: None,
            bytes: clip.read(0..len).boxed(),
        })
    }

    async fn has_footage(&self, stream: &StreamKey, range: TimeRange) -> Result<()> {
        self.archive.has_footage(stream, range).await
    }

    async fn clock(&self, _: &StreamKey, _: TimeRange) -> Result<zhenbei::model::FragmentClock> {
        Ok(zhenbei::model::FragmentClock::default())
    }

    async fn still(&self, _: &StreamKey, _: UtcMicros) -> Result<Option<SourceStill>> {
        Ok(None)
    }

    async fn derive(&self, _: DeriveOrder) -> Result<Derived> {
        Err(Error::unavailable("no_media", "nothing is derived here"))
    }

    async fn track(&self, _: &VehicleId, _: TimeRange, _: usize) -> Result<Vec<Fix>> {
        Ok(Vec::new())
    }
}

struct Desk {
    exhibits: Exhibits,
    recordings: Arc<Recordings>,
    who: Actor,
    case: CaseId,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Desk {
    async fn beside(house: &House) -> Self {
        let db = house.db.clone();
        let audit = Audit::new(db.clone(), house.clock.clone());
        let access = Access::new(
            db.clone(),
            audit.clone(),
            house.clock.clone(),
            &AccessConfig::default(),
        );
        let new = NewUser {
            name: "li".into(),
            display_name: String::new(),
            role: Role::Acceptor,
        };
        let password = "longer than eight";
        access
            .add_user(&Actor::command_line("root"), new, password)
            .await
            .unwrap();
        let who = access.sign_in("li", password, None).await.unwrap().actor;
        let cases = Cases::new(db.clone(), audit.clone(), house.clock.clone());
        let new = NewCase {
            title: "渣土撒落".into(),
            description: "人民路口".into(),
            category: "市容环境".into(),
            occurred_from: T0,
            occurred_to: None,
            place: GeoPoint {
                lon: 109.7345,
                lat: 38.2852,
            },
            address: "人民路 7 号".into(),
            area: None,
            source: None,
        };
        let case = cases.open(&who, new).await.unwrap().case.id;
        let recordings = Arc::new(Recordings {
            archive: house.archive.clone(),
            told: Mutex::default(),
        });
        let blobs = Folder::open(house.folder.path().join("evidence"))
            .await
            .unwrap();
        let (exhibits, copier) = Exhibits::new(Parts {
            db,
            audit,
            blobs: Arc::new(blobs),
            sources: recordings.clone(),
            clock: house.clock.clone(),
            changes: cases.announcer(),
            scratch: house.folder.path().join("derive"),
        });
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(copier.run(stop.clone()));
        Self {
            exhibits,
            recordings,
            who,
            case,
            stop,
            tasks,
        }
    }

    async fn attach(&self, range: TimeRange) -> Result<Exhibit> {
        let new = NewExhibit {
            subject: Subject::Camera {
                camera: key().camera,
                stream: StreamRole::Main,
            },
            range,
            purpose: "热线投诉核实".into(),
        };
        self.exhibits.attach(&self.who, self.case, new).await
    }

    async fn settled(&self, x: &Exhibit) -> Exhibit {
        let patience = Duration::from_secs(30);
        let x = self
            .exhibits
            .settled(&self.who, self.case, x.id, patience)
            .await
            .unwrap();
        assert_eq!(x.state, ExhibitState::Ready, "{x:?}");
        x
    }

    fn told(&self) -> Vec<Vec<(TimeRange, GapCause)>> {
        std::mem::take(&mut *self.recordings.told.lock().unwrap())
    }

    async fn close(mut self) {
        self.stop.cancel();
        while let Some(done) = self.tasks.join_next().await {
            done.unwrap();
        }
    }
}

fn manifest(house: &House, x: &Exhibit) -> Value {
    let folder = house.folder.path().join("evidence/cases");
    let folder = folder.join(x.case.to_string()).join(x.id.to_string());
    probe_file(&folder.join("clip.mp4"));
    serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_until_now_waits_for_its_end_and_its_missing_beginning_is_said() {
    let mut house = House::new().await;
    let desk = Desk::beside(&house).await;
    let f = footage::h264(8);
    // The camera answers a second after the recorder began; its fourth GOP is not whole.
    house.play(&f, 0.0, 3.8, at(1.0));
    house.durable(at(4.0)).await;
    let asked = range(0.0, 4.8);
    let x = desk.attach(asked).await.unwrap();
    let archive = house.archive.clone();
    let first = desk.recordings.clone();
    crate::house::until("the copier has looked once", move || {
        !first.told.lock().unwrap().is_empty()
    })
    .await;
    house.play_on(&f, 3.8, 6.0, at(1.0));
    let x = desk.settled(&x).await;

    let head = (range(0.0, 1.0), GapCause::CameraDown);
    let told = desk.told();
    assert_eq!(
        told.first().unwrap(),
        &[head, (range(4.0, 4.8), GapCause::NotYet)],
        "the end was not durable at first"
    );
    assert_eq!(told.last().unwrap(), &[head]);
    assert_eq!(x.delivered, Some(range(1.0, 4.8)));
    assert_eq!(x.gaps, [head]);
    let m = manifest(&house, &x);
    assert_eq!(m["coverage"]["asked_us"], asked.micros());
    assert_eq!(m["coverage"]["missing_us"], SECOND);
    assert_eq!(
        m["coverage"]["gaps"],
        json!([{"from_us": at(0.0).micros(), "to_us": at(1.0).micros(), "cause": "camera_down"}])
    );
    assert!(archive.is_recording(&key()));
    desk.close().await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_never_comes_is_said_and_not_waited_for() {
    let mut house = House::new().await;
    let desk = Desk::beside(&house).await;
    let f = footage::h264(8);
    house.play(&f, 0.0, 4.0, T0);
    house.end(at(4.2), Some(FaultKind::Closed));
    house.durable(at(4.0)).await;
    house.clock.set(at(10.0));
    let x = desk.attach(range(2.0, 10.0)).await.unwrap();
    let x = desk.settled(&x).await;
    assert_eq!(
        desk.told().len(),
        1,
        "asking plans no clip, and there is nothing to wait for"
    );
    assert_eq!(x.delivered, Some(range(2.0, 4.0)));
    assert_eq!(x.gaps, [(range(4.0, 10.0), GapCause::CameraDown)]);
    let m = manifest(&house, &x);
    assert_eq!(m["coverage"]["missing_us"], 6 * SECOND);

    let e = desk.attach(range(5.0, 9.0)).await.unwrap_err();
    assert_eq!(e.code(), "no_footage");
    assert!(e.detail().contains("camera_down"), "{e}");
    desk.close().await;
    house.stop().await;
}
