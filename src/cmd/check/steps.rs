//! What a dispatcher, a fleet monitor and a case handler do, as calls.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::{Target, tools};
use crate::model::{TimeRange, UtcMicros};

/// Starting eight encoders on a small machine takes its time.
const PATIENCE: Duration = Duration::from_secs(90);
const CLIP: Duration = Duration::from_secs(20);
/// A clip begins and ends at the asked instant to one picture of the slowest demo camera (10 fps).
const CLIP_TOLERANCE_S: f64 = 0.25;

pub(super) struct Cameras {
    pub all: Vec<String>,
    pub h264: String,
    pub h265: String,
}

impl Cameras {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("{pointer} is missing in {value}"))
}

fn list(value: &Value) -> Result<&Vec<Value>> {
    value
        .as_array()
        .with_context(|| format!("a list was expected, not {value}"))
}

/// Waits until every camera has streamed and names one H.264 and one H.265 camera.
pub(super) async fn pictures(client: &Client, target: &Target<'_>) -> Result<Cameras> {
    let deadline = Instant::now() + PATIENCE;
    let mut codecs: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let cameras = client.get("/cameras").await?;
        // One demo camera drops out now and then: a camera counts once it has been seen streaming.
        for camera in list(&cameras)? {
            if text(camera, "/state")? == "streaming"
                && let Some(codec) = camera.get("codec").and_then(Value::as_str)
            {
                codecs.insert(text(camera, "/id")?.to_owned(), codec.to_owned());
            }
        }
        if codecs.len() >= target.cameras {
            let of = |codec: &str| {
                codecs
                    .iter()
                    .find(|(_, c)| *c == codec)
                    .map(|(id, _)| id.clone())
                    .with_context(|| format!("no camera is {codec}"))
            };
            return Ok(Cameras {
                h264: of("h264")?,
                h265: of("h265")?,
                all: codecs.into_keys().collect(),
            });
        }
        if Instant::now() > deadline {
            let missing: Vec<_> = list(&cameras)?
                .iter()
                .filter(|c| {
                    c.get("id")
                        .and_then(Value::as_str)
                        .is_some_and(|id| !codecs.contains_key(id))
                })
                .map(|c| format!("{} is {}: {}", c["id"], c["state"], c["reason"]))
                .collect();
            bail!(
                "{} of {} cameras sent pictures; {}",
                codecs.len(),
                target.cameras,
                missing.join("; ")
            );
        }
        sleep(Duration::from_millis(300)).await;
    }
}

/// Waits until nine of ten vehicles have a fix younger than 30 s.
pub(super) async fn positions(client: &Client, target: &Target<'_>) -> Result<usize> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let positions = client.get("/positions").await?;
        let as_of = UtcMicros::parse(text(&positions, "/as_of")?)?;
        let mut fresh = 0;
        for feature in list(&positions["features"])? {
            let received = UtcMicros::parse(text(feature, "/properties/received")?)?;
            if as_of.micros_since(received) < 30_000_000 {
                fresh += 1;
            }
        }
        if fresh * 10 >= target.vehicles * 9 {
            return Ok(fresh);
        }
        if Instant::now() > deadline {
            bail!(
                "{fresh} of {} vehicles have a fresh position; sources: {}",
                target.vehicles,
                client.get("/sources").await?
            );
        }
        sleep(Duration::from_millis(300)).await;
    }
}

/// Waits for 20 s without a gap before `durable_until`.
pub(super) async fn recorded(client: &Client, camera: &str) -> Result<TimeRange> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = client.get(&format!("/cameras/{camera}")).await?;
        if let Some(until) = status.get("durable_until").and_then(Value::as_str) {
            let to = UtcMicros::parse(until)?;
            let range = TimeRange {
                from: to.minus(CLIP),
                to,
            };
            let coverage = client
                .get(&format!(
                    "/cameras/{camera}/coverage?from={}&to={}",
                    range.from, range.to
                ))
                .await?;
            if list(&coverage["gaps"])?.is_empty() && list(&coverage["spans"])?.len() == 1 {
                return Ok(range);
            }
        }
        if Instant::now() > deadline {
            bail!("camera {camera} has not 20 s of recording: {status}");
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Cuts the range, asks for a part as a player does, and decodes the whole.
pub(super) async fn clip(
    client: &Client,
    target: &Target<'_>,
    camera: &str,
    range: TimeRange,
) -> Result<String> {
    let path = format!(
        "/cameras/{camera}/clip.mp4?from={}&to={}",
        range.from, range.to
    );
    let started = Instant::now();
    let whole = client.bytes(&path).await?;
    let took = started.elapsed();
    let (status, part) = client.part(&path, "bytes=100-1099").await?;
    ensure!(status == 206, "a Range request was answered with {status}");
    ensure!(
        whole.get(100..1100) == Some(&part[..]),
        "a part is not the same bytes as in the whole"
    );
    let file = target.dir.join("clip.mp4");
    tokio::fs::write(&file, &whole).await?;
    let (seconds, frames) = tools::decode(&file).await?;
    ensure!(
        (seconds - CLIP.as_secs_f64()).abs() <= CLIP_TOLERANCE_S,
        "the clip has {seconds} s instead of {} s",
        CLIP.as_secs()
    );
    Ok(format!(
        "{seconds:.2} s, {frames} pictures, {} bytes in {:.0} ms",
        whole.len(),
        took.as_secs_f64() * 1e3
    ))
}

pub(super) struct Case {
    pub id: String,
    pub no: String,
}

pub(super) async fn open_case(client: &Client) -> Result<Case> {
    let system = client.get("/system").await?;
    let now = text(&system, "/now")?;
    let case = client
        .post(
            "/cases",
            &json!({
                "title": "榆阳广场 渣土撒漏", "description": "demo --check", "category": "市容环境/道路遗撒",
                "occurred_from": now, "lon": 109.7345, "lat": 38.2852, "address": "榆阳广场 东", "source": "video",
            }),
        )
        .await?;
    Ok(Case {
        id: text(&case, "/id")?.into(),
        no: text(&case, "/no")?.into(),
    })
}

pub(super) struct Exhibit {
    pub id: String,
    pub files: Vec<Value>,
}

async fn attach(client: &Client, case: &Case, body: &Value) -> Result<Exhibit> {
    let mut exhibit = client
        .post(&format!("/cases/{}/exhibits", case.id), body)
        .await?;
    let id = text(&exhibit, "/id")?.to_owned();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match text(&exhibit, "/state")? {
            "ready" => {
                return Ok(Exhibit {
                    id,
                    files: list(&exhibit["files"])?.clone(),
                });
            }
            "working" if Instant::now() < deadline => sleep(Duration::from_millis(200)).await,
            _ => bail!("the exhibit is not ready: {exhibit}"),
        }
        exhibit = client
            .get(&format!("/cases/{}/exhibits/{id}", case.id))
            .await?;
    }
}

pub(super) async fn attach_clip(
    client: &Client,
    case: &Case,
    camera: &str,
    range: TimeRange,
) -> Result<Exhibit> {
    let body = json!({ "camera": camera, "from": range.from, "to": range.to, "purpose": "取证: 渣土撒漏" });
    attach(client, case, &body).await
}

/// The vehicle with the most fixes among the first few that move.
pub(super) async fn attach_track(
    client: &Client,
    case: &Case,
    range: TimeRange,
) -> Result<Exhibit> {
    let positions = client.get("/positions?limit=20").await?;
    let mut best = (0, String::new());
    for feature in list(&positions["features"])? {
        let vehicle = text(feature, "/properties/vehicle")?;
        let track = client
            .get(&format!(
                "/vehicles/{vehicle}/track?from={}&to={}",
                range.from, range.to
            ))
            .await?;
        let points = list(&track["features"])?.len();
        if points > best.0 {
            best = (points, vehicle.to_owned());
        }
    }
    ensure!(
        best.0 > 0,
        "none of the first vehicles has a track in the range"
    );
    let body = json!({ "vehicle": best.1, "from": range.from, "to": range.to, "purpose": "取证: 车辆轨迹" });
    attach(client, case, &body).await
}

pub(super) async fn download(
    client: &Client,
    target: &Target<'_>,
    case: &Case,
    clip: &Exhibit,
    track: &Exhibit,
    range: TimeRange,
) -> Result<String> {
    let mut total = 0;
    let mut names = Vec::new();
    for (exhibit, needed) in [
        (clip, ["clip.mp4", "still.jpg", "manifest.json"].as_slice()),
        (track, &["track.geojson", "manifest.json"]),
    ] {
        let have: Vec<&str> = exhibit
            .files
            .iter()
            .filter_map(|f| f.get("name").and_then(Value::as_str))
            .collect();
        for name in needed {
            ensure!(
                have.contains(name),
                "exhibit {} has no {name}, only {have:?}",
                exhibit.id
            );
        }
        for file in &exhibit.files {
            let name = text(file, "/name")?;
            let bytes = client
                .bytes(&format!(
                    "/cases/{}/exhibits/{}/{name}",
                    case.id, exhibit.id
                ))
                .await?;
            let hash = hex::encode(Sha256::digest(&bytes));
            ensure!(
                hash == text(file, "/sha256")?,
                "{name} has another SHA-256 than the exhibit says"
            );
            total += bytes.len();
            tokio::fs::write(target.dir.join(format!("exhibit-{name}")), &bytes).await?;
            names.push(name.to_owned());
        }
    }
    let (seconds, _) = tools::decode(&target.dir.join("exhibit-clip.mp4")).await?;
    ensure!(
        (seconds - range.duration().as_secs_f64()).abs() <= CLIP_TOLERANCE_S,
        "the exhibit has {seconds} s"
    );
    let track: Value =
        serde_json::from_slice(&tokio::fs::read(target.dir.join("exhibit-track.geojson")).await?)?;
    ensure!(
        !list(&track["features"])?.is_empty(),
        "the track exhibit is empty"
    );
    Ok(format!(
        "{} files, {total} bytes, clip {seconds:.2} s",
        names.len()
    ))
}

pub(super) async fn bundle(client: &Client, target: &Target<'_>, case: &Case) -> Result<String> {
    let bytes = client
        .bytes(&format!("/cases/{}/bundle.zip", case.id))
        .await?;
    let dir = target.dir.join("bundle");
    tokio::fs::create_dir_all(&dir).await?;
    let zip = target.dir.join("bundle.zip");
    tokio::fs::write(&zip, &bytes).await?;
    for (program, args) in [
        ("unzip", vec!["-q", "-o", "../bundle.zip"]),
        ("sha256sum", vec!["--quiet", "-c", "SHA256SUMS"]),
    ] {
        let out = Command::new(program)
            .args(&args)
            .current_dir(&dir)
            .output()
            .await
            .with_context(|| {
                format!("{program} does not start; install it (apt-get install unzip coreutils)")
            })?;
        ensure!(
            out.status.success(),
            "{program} says: {}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
    }
    Ok(format!("{} bytes", bytes.len()))
}

/// The opening of the case and both exhibits are on the log, and closed.
pub(super) async fn audit(client: &Client, case: &Case) -> Result<String> {
    let entries = client.get("/audit?limit=200").await?;
    let of_case: Vec<&Value> = list(&entries)?
        .iter()
        .filter(|e| {
            let names = |key: &str, what: &str| {
                e.get(key)
                    .and_then(Value::as_str)
                    .is_some_and(|t| t.contains(what))
            };
            names("object", &case.id) || names("object", &case.no)
        })
        .collect();
    let ok = of_case.iter().filter(|e| e["outcome"] == "ok").count();
    ensure!(
        ok >= 3,
        "only {ok} finished acts on case {} are on the log",
        case.no
    );
    Ok(format!(
        "{} entries, {} of this case",
        list(&entries)?.len(),
        of_case.len()
    ))
}
