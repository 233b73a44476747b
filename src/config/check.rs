//! What the types cannot say: ranges, addresses, and keys that must fit each other.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

use url::Url;

use super::document::Report;
use super::model::{BasemapKind, Config, MqttConfig};
use super::pattern::CameraPattern;
use crate::model::{GeoPoint, Secret};

pub(super) fn check(c: &Config, r: &mut Report) {
    site(c, r);
    http(c, r);
    stores(c, r);
    mqtt(&c.mqtt, r);
    video(c, r);
    archive(c, r);
    fleet(c, r);
    people(c, r);
    map(c, r);
}

fn within<T: PartialOrd + Display>(r: &mut Report, path: &str, value: T, range: RangeInclusive<T>) {
    if !range.contains(&value) {
        let (low, high) = (range.start(), range.end());
        r.error(path, format!("{value} is outside {low} to {high}"));
    }
}

fn folder(r: &mut Report, path: &str, dir: Option<&Path>) {
    if let Some(dir) = dir.filter(|d| !d.is_dir()) {
        r.error(
            path,
            format!(
                "{} is not a folder; create it or take the key out",
                dir.display()
            ),
        );
    }
}

/// A place the daemon makes when it is missing.
fn own_folder(r: &mut Report, path: &str, dir: &Path) {
    if dir.is_file() {
        r.error(path, format!("{} is a file; name a folder", dir.display()));
    }
}

fn site(c: &Config, r: &mut Report) {
    let [lon, lat] = c.site.center;
    if let Err(e) = GeoPoint::new(lon, lat) {
        r.error(
            "site.center",
            format!("{}; write [longitude, latitude]", e.detail()),
        );
    }
    within(r, "site.zoom", c.site.zoom, 0.0..=22.0);
}

fn http(c: &Config, r: &mut Report) {
    if !c.http.listen.ip().is_loopback() && !c.http.behind_tls {
        r.warn(
            "http.listen",
            "reachable from the network without TLS: passwords and pictures can be read on the way, and browsers refuse \
             WebCodecs on such a page. Put a TLS proxy before it and set behind_tls = true",
        );
    }
    folder(r, "http.ui_dir", c.http.ui_dir.as_deref());
    if let Err(e) = c.log.filter.parse::<tracing_subscriber::EnvFilter>() {
        r.error(
            "log.filter",
            format!(
                "`{}`: {e}; write it like \"info,zhenbei::video=debug\"",
                c.log.filter
            ),
        );
    }
}

fn stores(c: &Config, r: &mut Report) {
    if c.data.dir.as_os_str().is_empty() {
        r.error(
            "data.dir",
            "is empty; name a folder the daemon may write to",
        );
    }
    own_folder(r, "data.dir", &c.data.dir);
    if let Some(dir) = &c.archive.dir {
        own_folder(r, "archive.dir", dir);
    }
    volumes(c, r);
    if let Some(url) = &c.database.url {
        let text = url.reveal();
        let file = text.strip_prefix("sqlite:");
        if file.is_some_and(|f| f.trim_start_matches('/').is_empty()) {
            r.error(
                "database.url",
                "names no file; write sqlite:/var/lib/zhenbei/zhenbei.db",
            );
        }
        if file.is_none() {
            address(
                r,
                "database.url",
                url,
                &["postgres", "postgresql"],
                "sqlite:PATH or postgres://user@host/database",
            );
        }
    }
    if let Some(url) = &c.redis.url {
        address(r, "redis.url", url, &["redis"], "redis://host:6379");
    }
}

/// A server's address with a known scheme and a host. Messages show it without its password.
fn address(r: &mut Report, path: &str, url: &Secret, schemes: &[&str], like: &str) -> Option<Url> {
    match Url::parse(url.reveal()) {
        Ok(u) if !schemes.contains(&u.scheme()) => {
            r.error(
                path,
                format!(
                    "`{}` is not an address of a kind known here; write {like}",
                    url.redacted()
                ),
            );
            None
        }
        Ok(u) if u.host_str().is_none_or(str::is_empty) => {
            r.error(
                path,
                format!("`{}` names no host; write {like}", url.redacted()),
            );
            None
        }
        Ok(u) => Some(u),
        Err(e) => {
            r.error(path, format!("is not an address ({e}); write {like}"));
            None
        }
    }
}

fn mqtt(brokers: &[MqttConfig], r: &mut Report) {
    let mut clients: HashMap<(String, u16, &str), usize> = HashMap::new();
    for (index, broker) in brokers.iter().enumerate() {
        let at = |key: &str| format!("mqtt.{index}.{key}");
        if broker.client_id.is_empty() {
            r.error(
                &at("client_id"),
                "is empty; the broker keeps our session under this name",
            );
        }
        if broker.topics.is_empty() {
            r.error(
                &at("topics"),
                "is empty; name at least one filter, e.g. \"fleet/{vehicle}/position\"",
            );
        }
        for topic in &broker.topics {
            if let Some(trouble) = bad_filter(topic) {
                r.error(&at("topics"), format!("`{topic}`: {trouble}"));
            }
        }
        if broker.url.reveal().is_empty() {
            r.error(&at("url"), "is missing; write url = \"mqtt://host:1883\"");
            continue;
        }
        let Some(url) = address(
            r,
            &at("url"),
            &broker.url,
            &["mqtt", "mqtts"],
            "mqtt://host:1883 or mqtts://host:8883",
        ) else {
            continue;
        };
        if !matches!(url.path(), "" | "/") {
            r.error(&at("url"), "has a path; topics belong in topics");
        }
        let port = url
            .port()
            .unwrap_or(if url.scheme() == "mqtts" { 8883 } else { 1883 });
        let key = (
            url.host_str().unwrap_or_default().to_owned(),
            port,
            broker.client_id.as_str(),
        );
        if let Some(first) = clients.insert(key, index) {
            // MQTT 3.1.1 §3.1.4: the broker must disconnect the older of two clients with one identifier.
            r.error(
                &at("client_id"),
                format!(
                    "`{}` is used for the same broker by entry {} already; the two would throw each other out without end. \
                     Give one of them another client_id",
                    broker.client_id,
                    first + 1
                ),
            );
        }
    }
}

/// MQTT 3.1.1 §4.7, and our `{vehicle}`, which stands for one whole level. The fleet's own reader is a room above; a test
/// holds the two to the same judgement.
fn bad_filter(topic: &str) -> Option<&'static str> {
    let plain = match topic.strip_prefix("$share/") {
        None => topic,
        Some(shared) => match shared.split_once('/') {
            Some((group, rest)) if !group.is_empty() && !group.contains(['+', '#']) => rest,
            _ => return Some("must be $share/GROUP/FILTER"),
        },
    };
    let levels: Vec<&str> = plain.split('/').collect();
    let last = levels.len().saturating_sub(1);
    if plain.is_empty() || topic.len() > 1_024 || topic.contains('\0') {
        return Some("is empty or longer than 1024 bytes");
    }
    if levels
        .iter()
        .any(|l| l.contains(['{', '}']) && *l != "{vehicle}")
    {
        return Some("{vehicle} must be a level of its own, as in fleet/{vehicle}/position");
    }
    if levels.iter().filter(|l| **l == "{vehicle}").count() != 1 {
        return Some("must hold {vehicle} exactly once, where the vehicle's id stands");
    }
    if levels.iter().any(|l| l.len() > 1 && l.contains(['+', '#'])) {
        return Some("+ and # must be levels of their own");
    }
    if levels
        .iter()
        .enumerate()
        .any(|(i, l)| *l == "#" && i != last)
    {
        return Some("# must be the last level");
    }
    None
}

fn video(c: &Config, r: &mut Report) {
    let v = &c.video;
    within(r, "video.ring_bytes", v.ring_bytes, 1 << 20..=1 << 30);
    within(
        r,
        "video.picture_timeout_ms",
        v.picture_timeout_ms,
        500..=600_000,
    );
    within(
        r,
        "video.answer_timeout_ms",
        v.answer_timeout_ms,
        100..=120_000,
    );
    within(r, "video.backoff_min_ms", v.backoff_min_ms, 10..=600_000);
    if v.backoff_max_ms < v.backoff_min_ms {
        r.error(
            "video.backoff_max_ms",
            format!(
                "{} is less than backoff_min_ms, which is {}",
                v.backoff_max_ms, v.backoff_min_ms
            ),
        );
    }
    within(r, "video.connects_per_host", v.connects_per_host, 1..=1_000);
    let m = &c.media;
    folder(r, "media.pipelines_dir", m.pipelines_dir.as_deref());
    within(r, "media.max_transcodes", m.max_transcodes, 0..=256);
    within(
        r,
        "media.transcode_linger_ms",
        m.transcode_linger_ms,
        0..=3_600_000,
    );
    within(
        r,
        "media.still_timeout_ms",
        m.still_timeout_ms,
        100..=120_000,
    );
}

fn archive(c: &Config, r: &mut Report) {
    let a = &c.archive;
    if !(a.retention_days > 0.0 && a.retention_days <= 36_500.0) {
        r.error(
            "archive.retention_days",
            format!("{} is outside 0 (not included) to 36500", a.retention_days),
        );
    } else if a.retention_days < a.legal_floor_days {
        r.warn(
            "archive.retention_days",
            below_floor(a.retention_days, a.legal_floor_days),
        );
    }
    if !(0.0..=36_500.0).contains(&a.legal_floor_days) {
        r.error(
            "archive.legal_floor_days",
            format!("{} is outside 0 to 36500", a.legal_floor_days),
        );
    }
    classes(c, r);
    if a.max_bytes > 0 && a.max_bytes < 1 << 30 {
        r.warn(
            "archive.max_bytes",
            format!(
                "{} bytes hold only minutes of video; it is counted in bytes",
                a.max_bytes
            ),
        );
    }
    within(
        r,
        "archive.fragment_max_ms",
        a.fragment_max_ms,
        200..=10_000,
    );
    within(
        r,
        "archive.sync_interval_ms",
        a.sync_interval_ms,
        50..=10_000,
    );
    // The promise is two seconds at most for what a power cut takes; a fragment is written when it is complete.
    if a.fragment_max_ms > 2_000 {
        r.warn(
            "archive.fragment_max_ms",
            "above 2000 a power cut may lose more than 2 s of every recording",
        );
    }
    if a.sync_interval_ms > 1_000 {
        r.warn(
            "archive.sync_interval_ms",
            "above 1000 a power cut may lose more than 2 s of every recording",
        );
    }
    within(r, "archive.segment_ms", a.segment_ms, 1_000..=3_600_000);
    if a.segment_ms < a.fragment_max_ms {
        r.error(
            "archive.segment_ms",
            format!(
                "{} is less than fragment_max_ms, which is {}",
                a.segment_ms, a.fragment_max_ms
            ),
        );
    }
    within(r, "archive.queue_bytes", a.queue_bytes, 1 << 20..=64 << 30);
}

fn volumes(c: &Config, r: &mut Report) {
    let default = c.data.dir.join("archive");
    let mut dirs = vec![c.archive.dir.as_deref().unwrap_or(&default)];
    let mut names: Vec<&str> = Vec::new();
    let mut rest: Option<&str> = None;
    for (index, v) in c.archive.volumes.iter().enumerate() {
        let at = |key: &str| format!("archive.volumes.{index}.{key}");
        let plain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        if v.name.is_empty() || v.name.len() > 32 || !v.name.bytes().all(plain) {
            r.error(
                &at("name"),
                format!("`{}`: takes 1 to 32 of a-z, 0-9, - and _", v.name),
            );
        } else if names.contains(&v.name.as_str()) {
            r.error(
                &at("name"),
                format!("`{}` is the name of another volume already", v.name),
            );
        }
        if v.name == "default" {
            r.error(&at("name"), "`default` is what [archive] dir is called");
        }
        names.push(&v.name);
        if v.dir.as_os_str().is_empty() {
            r.error(&at("dir"), "is missing: a folder on the volume's disk");
        } else if dirs
            .iter()
            .any(|d| v.dir.starts_with(d) || d.starts_with(&v.dir))
        {
            r.error(
                &at("dir"),
                format!(
                    "{} lies in (or around) the folder of another volume; each needs one of its own",
                    v.dir.display()
                ),
            );
        }
        dirs.push(&v.dir);
        own_folder(r, &at("dir"), &v.dir);
        patterns(r, &at("cameras"), &v.cameras);
        if let Some(taken) = rest {
            r.warn(
                &at("cameras"),
                format!("is never asked: the volume `{taken}` before it takes all cameras"),
            );
        }
        if v.cameras.is_empty() {
            rest = rest.or(Some(&v.name));
        }
    }
}

fn below_floor(days: f64, floor: f64) -> String {
    format!(
        "{days} days are less than legal_floor_days = {floor}: public-safety video in public places must be kept for at least \
         30 days (State Council Decree 799)"
    )
}

fn classes(c: &Config, r: &mut Report) {
    let mut names: Vec<&str> = Vec::new();
    for (index, rule) in c.archive.retention.iter().enumerate() {
        let at = |key: &str| format!("archive.retention.{index}.{key}");
        let plain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        if rule.class.is_empty() || rule.class.len() > 32 || !rule.class.bytes().all(plain) {
            r.error(
                &at("class"),
                format!("`{}`: takes 1 to 32 of a-z, 0-9, - and _", rule.class),
            );
        } else if names.contains(&rule.class.as_str()) {
            r.error(
                &at("class"),
                format!("`{}` is the name of another class already", rule.class),
            );
        }
        names.push(&rule.class);
        if rule.cameras.is_empty() {
            r.error(
                &at("cameras"),
                "is empty: name the cameras the rule is for, e.g. [\"cam-0*\"]",
            );
        }
        patterns(r, &at("cameras"), &rule.cameras);
        if !(0.0..=36_500.0).contains(&rule.days) {
            r.error(&at("days"), format!("{} is outside 0 to 36500", rule.days));
        } else if rule.days > 0.0 && rule.days < c.archive.legal_floor_days {
            r.warn(
                &at("days"),
                below_floor(rule.days, c.archive.legal_floor_days),
            );
        }
    }
}

fn patterns(r: &mut Report, path: &str, cameras: &[String]) {
    for text in cameras {
        if let Err(trouble) = CameraPattern::parse(text) {
            r.error(path, format!("`{text}`: {trouble}"));
        }
    }
}

fn fleet(c: &Config, r: &mut Report) {
    let f = &c.fleet;
    within(r, "fleet.stale_after_s", f.stale_after_s, 1..=86_400);
    within(
        r,
        "fleet.stopped_below_kmh",
        f.stopped_below_kmh,
        0.0..=100.0,
    );
    within(
        r,
        "fleet.commit_interval_ms",
        f.commit_interval_ms,
        1..=10_000,
    );
    within(r, "fleet.commit_max", f.commit_max, 1..=100_000);
    within(r, "fleet.rejected_kept", f.rejected_kept, 0..=100_000);
    if !(f.retention_days > 0.0 && f.retention_days <= 36_500.0) {
        r.error(
            "fleet.retention_days",
            format!("{} is outside 0 (not included) to 36500", f.retention_days),
        );
    }
}

fn people(c: &Config, r: &mut Report) {
    within(
        r,
        "access.session_idle_minutes",
        c.access.session_idle_minutes,
        1..=10_080,
    );
    within(r, "access.session_hours", c.access.session_hours, 1..=720);
}

fn map(c: &Config, r: &mut Report) {
    let url = c.map.url.as_deref();
    match c.map.kind {
        BasemapKind::None => {
            if url.is_some() {
                r.warn("map.url", "is not used while kind is \"none\"");
            }
        }
        BasemapKind::Xyz | BasemapKind::Wmts => {
            let complete = url.is_some_and(|u| ["{z}", "{x}", "{y}"].iter().all(|p| u.contains(p)));
            if !complete {
                r.error(
                    "map.url",
                    "must be a tile address with {z}, {x} and {y} in it",
                );
            }
        }
        BasemapKind::Geojson | BasemapKind::Pmtiles => {
            if url.is_none_or(|u| u.contains('/') || u.starts_with('.')) {
                r.error(
                    "map.url",
                    "must be the name of a file in [map] dir, without folders",
                );
            }
            if c.map.dir.is_none() {
                r.error(
                    "map.dir",
                    "is missing: the folder that holds the file named in url",
                );
            }
        }
    }
    folder(r, "map.dir", c.map.dir.as_deref());
}
