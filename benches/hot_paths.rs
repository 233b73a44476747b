//! What happens for every message and every picture. `make bench` runs it; figures are compared within one run, never across
//! machines (docs/testing.md).
#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run should say so at once"
)]

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use zhenbei::fleet::decode::{json, nmea};
use zhenbei::live::{Header, Kind};
use zhenbei::model::{StreamParams, UtcMicros, VideoCodec};
use zhenbei::video::{Frame, Item, Media, Ring, Start};

const POSITION: &[u8] =
    br#"{"time":"2026-01-01T08:00:00Z","lon":109.7345,"lat":38.2852,"speed_kmh":31.5,"course_deg":270,"ignition":true}"#;
const SENTENCES: &[u8] =
    b"$GNRMC,080000.00,A,3817.11200,N,10944.07000,E,17.009,270.0,010126,,,A*74\r\n\
    $GNGGA,080000.00,3817.11200,N,10944.07000,E,1,12,0.8,1060.0,M,-20.0,M,,*5D\r\n";
/// A picture of a 4 Mbit/s camera at 25 a second.
const PICTURE: usize = 20_000;

/// A position as JSON, beside the same text read as a bare JSON value: what checking and typing cost on top.
fn positions(c: &mut Criterion) {
    let mut group = c.benchmark_group("position");
    group.throughput(Throughput::Elements(1));
    group.bench_function("json/reference: serde_json::Value", |b| {
        b.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(POSITION)).unwrap());
    });
    group.bench_function("json", |b| b.iter(|| json::decode(black_box(POSITION))));
    group.bench_function("nmea RMC+GGA", |b| {
        b.iter(|| nmea::decode(black_box(SENTENCES), nmea::Options::default()));
    });
    group.finish();
}

fn frame(params: &Arc<StreamParams>, n: i64) -> Item {
    Item::Frame(Arc::new(Frame {
        media: Media::Video,
        pts: n * 3_600,
        received: UtcMicros(n * 40_000),
        arrival: zhenbei::video::Arrival::unmoved(UtcMicros(n * 40_000)),
        key: n % 25 == 0,
        data: Bytes::from_static(&[0; PICTURE]),
        lost: 0,
        camera_clock: zhenbei::model::CameraClock::default(),
        params: Arc::clone(params),
    }))
}

/// One second of one camera through the ring, with so many readers who keep up.
fn ring(c: &mut Criterion) {
    let params = Arc::new(StreamParams {
        codec: VideoCodec::H264,
        extra_data: Bytes::new(),
        rfc6381: "avc1.64001f".into(),
        width: 1920,
        height: 1080,
        pixel_aspect: None,
        audio: None,
    });
    let mut group = c.benchmark_group("ring, 25 pictures");
    group.throughput(Throughput::Elements(25));
    for readers in [0_usize, 1, 16] {
        group.bench_function(format!("{readers} readers"), |b| {
            b.iter_batched(
                || {
                    let ring = Ring::new(4 << 20);
                    let cursors: Vec<_> =
                        (0..readers).map(|_| ring.cursor(Start::NextKey)).collect();
                    (ring, cursors)
                },
                |(ring, mut cursors)| {
                    for n in 0..25 {
                        ring.push(frame(&params, n));
                        for cursor in &mut cursors {
                            black_box(cursor.try_next());
                        }
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A live message beside the bare copy of its picture: the floor.
fn live(c: &mut Criterion) {
    let picture = vec![7; PICTURE];
    let header = Header {
        kind: Kind::AccessUnit,
        key: false,
        catch_up: false,
        tile: 1,
        media_us: 40_000,
        received: UtcMicros(1_764_000_000_000_000),
        number: 1,
        lost: 0,
    };
    let mut group = c.benchmark_group("live message");
    group.throughput(Throughput::Bytes(PICTURE as u64));
    group.bench_function("reference: copy", |b| {
        b.iter(|| Bytes::copy_from_slice(black_box(&picture)))
    });
    group.bench_function("header and picture", |b| {
        b.iter(|| header.with_payload(black_box(&picture)))
    });
    group.finish();
}

criterion_group!(benches, positions, ring, live);
criterion_main!(benches);
