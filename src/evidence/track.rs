//! A vehicle's fixes as a GeoJSON file (RFC 7946).

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::model::{Fix, FixFlag, TimeRange};
use crate::store::ByteStream;

const PIECE: usize = 500;

/// What the fixes cover: from the first to just after the last.
pub(super) fn covered(fixes: &[Fix]) -> Option<TimeRange> {
    let (first, last) = (fixes.first()?, fixes.last()?);
    Some(TimeRange {
        from: first.time,
        to: last.time + 1,
    })
}

/// The file, piece by piece: the whole text is never in memory.
pub(super) fn geojson(fixes: Vec<Fix>) -> ByteStream {
    let head = Bytes::from_static(b"{\"type\":\"FeatureCollection\",\"features\":[");
    let tail = Bytes::from_static(b"]}\n");
    let features = stream::unfold((fixes, 0_usize), |(fixes, at)| async move {
        let part = fixes.get(at..)?;
        if part.is_empty() {
            return None;
        }
        let mut text = String::new();
        for (n, fix) in part.iter().take(PIECE).enumerate() {
            text.push_str(if at + n == 0 { "\n" } else { ",\n" });
            text.push_str(&feature(fix).to_string());
        }
        Some((Bytes::from(text), (fixes, at + PIECE)))
    });
    stream::iter([head])
        .chain(features)
        .chain(stream::iter([tail]))
        .map(io::Result::Ok)
        .boxed()
}

fn feature(fix: &Fix) -> serde_json::Value {
    json!({
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [fix.place.lon, fix.place.lat]},
        "properties": {
            "vehicle": fix.vehicle,
            "time": fix.time,
            "received": fix.received,
            "speed_kmh": fix.speed_kmh,
            "course_deg": fix.course_deg,
            "altitude_m": fix.altitude_m,
            "ignition": fix.ignition,
            "source": fix.source,
            "flags": fix.flags.iter().map(FixFlag::as_str).collect::<Vec<_>>(),
        }
    })
}
