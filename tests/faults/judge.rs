//! Is what is on the disk what the cameras sent, and does the list of gaps explain the rest? Looked at from outside: rows of
//! the index, bytes of the files, ffmpeg.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};
use zhenbei::model::{GapCause, StreamKey, TimeRange, UtcMicros};
use zhenbei::store::Database;
use zhenbei::store::database::{FragmentRow, SegmentPart};

use crate::camera::{PICTURE, Sent, number_of};

/// One stream, judged.
#[derive(Debug, Default)]
pub struct Verdict {
    pub recorded: i64,
    pub gaps: BTreeMap<&'static str, i64>,
    /// Pictures on the disk, by number: where they lie in time.
    pub on_disk: BTreeMap<u64, UtcMicros>,
    pub files: usize,
    /// RTP packets that fragments say were lost.
    pub packets_lost: u64,
    /// How far the length of a gap is off the pictures missing in it, at most, in µs.
    pub worst_gap: i64,
    /// Sent, not on the disk and in no gap: hurt by lost packets.
    pub hurt: u64,
    /// Everything that is wrong.
    pub wrong: Vec<String>,
}

/// A page of the index is read at a time.
const PAGE: i64 = 500;

pub async fn parts_of(db: &Database, key: &StreamKey) -> Vec<SegmentPart> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = db.archive_page(key, after, PAGE).await.unwrap();
        let Some(last) = page.last() else { return all };
        after = last.row.first_seq;
        all.extend(page);
    }
}

pub async fn gaps_of(db: &Database, key: &StreamKey) -> Vec<(TimeRange, GapCause)> {
    let mut all: Vec<(TimeRange, GapCause)> = Vec::new();
    loop {
        let after = all
            .last()
            .map_or((UtcMicros::MIN, ""), |(g, c)| (g.from, c.as_str()));
        let page = db.archive_gap_page(key, after, PAGE).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// `slack`: by how much the machine may deliver pictures late before a gap's length is doubted.
pub async fn judge(
    db: &Database,
    dir: &Path,
    key: &StreamKey,
    sent: &BTreeMap<u64, Sent>,
    slack: i64,
) -> Verdict {
    let mut v = Verdict::default();
    let parts = parts_of(db, key).await;
    let gaps = gaps_of(db, key).await;
    for (gap, cause) in &gaps {
        *v.gaps.entry(cause.as_str()).or_default() += gap.micros();
    }
    let mut spans: Vec<TimeRange> = Vec::new();
    let mut pictures: Vec<(u64, UtcMicros)> = Vec::new();
    for part in &parts {
        v.files += 1;
        for f in &part.fragments {
            v.recorded += f.fragment.range.micros();
            v.packets_lost += u64::from(f.fragment.packets_lost);
            spans.push(f.fragment.range);
        }
        read_file(&mut v, dir, part, sent, &mut pictures);
    }
    tiles(&mut v, &spans, &gaps);
    follows(&mut v, &spans, &gaps, &pictures, sent, slack);
    v.on_disk = pictures.into_iter().collect();
    v
}

fn read_file(
    v: &mut Verdict,
    dir: &Path,
    part: &SegmentPart,
    sent: &BTreeMap<u64, Sent>,
    pictures: &mut Vec<(u64, UtcMicros)>,
) {
    let path = &part.row.segment.path;
    let bytes = match std::fs::read(dir.join(path)) {
        Ok(bytes) => bytes,
        Err(e) => return v.wrong.push(format!("{path}: {e}")),
    };
    let mp4 = match re_mp4::Mp4::read_bytes(&bytes) {
        Ok(mp4) => mp4,
        Err(e) => return v.wrong.push(format!("{path}: {e}")),
    };
    let Some(track) = mp4
        .tracks()
        .values()
        .find(|t| t.kind == Some(re_mp4::TrackKind::Video))
    else {
        return v.wrong.push(format!("{path}: no video"));
    };
    let mut first: Option<(i64, i64)> = None;
    let mut newest: Option<i64> = None;
    for s in &track.samples {
        // Where it lies in time: its fragment's begin, and its place in the fragment.
        let offset = s.byte_range().start as u64;
        let inside = |f: &&FragmentRow| {
            f.fragment.offset <= offset && offset < f.fragment.offset + u64::from(f.fragment.len)
        };
        let Some(f) = part.fragments.iter().find(inside) else {
            v.wrong.push(format!(
                "{path}: a picture at byte {offset} that the index does not have"
            ));
            continue;
        };
        if first.is_none_or(|(seq, _)| seq != f.fragment.seq) {
            first = Some((f.fragment.seq, s.decode_timestamp));
        }
        if newest.is_some_and(|dts| s.decode_timestamp <= dts) {
            v.wrong.push(format!(
                "{path}: a picture at {} is not decoded after the one before it",
                s.decode_timestamp
            ));
        }
        newest = Some(s.decode_timestamp);
        let begin = first.map_or(0, |(_, dts)| dts);
        let at = f.fragment.range.from + (s.decode_timestamp - begin) * 100 / 9;
        let Some(unit) = bytes.get(s.byte_range()) else {
            v.wrong.push(format!("{path}: a picture outside the file"));
            continue;
        };
        let number = number_of(unit).or_else(|| {
            // The packet with its number was the one that was lost.
            let next = pictures.last()?.0 + 1;
            sent.get(&next).filter(|s| s.hurt).map(|_| next)
        });
        let Some(number) = number else {
            v.wrong.push(format!("{path}: a picture without a number"));
            continue;
        };
        let sha256: [u8; 32] = Sha256::digest(unit).into();
        match sent.get(&number) {
            None => v
                .wrong
                .push(format!("{path}: picture {number} was never sent")),
            Some(s) if s.sha256 != sha256 && !s.hurt => {
                v.wrong
                    .push(format!("{path}: picture {number} has other bytes"));
            }
            Some(_) => {}
        }
        pictures.push((number, at));
    }
}

/// Rows tile the time from the first moment known to the last, to the microsecond.
fn tiles(v: &mut Verdict, spans: &[TimeRange], gaps: &[(TimeRange, GapCause)]) {
    let mut all: Vec<(TimeRange, &str)> = spans
        .iter()
        .map(|s| (*s, "recorded"))
        .chain(gaps.iter().map(|(g, c)| (*g, c.as_str())))
        .collect();
    all.sort_by_key(|(r, _)| (r.from, r.to));
    for pair in all.windows(2) {
        let [(a, what_a), (b, what_b)] = pair else {
            continue;
        };
        if a.to != b.from {
            v.wrong.push(format!(
                "{what_a} {} to {} and {what_b} {} to {} do not meet ({} µs)",
                a.from,
                a.to,
                b.from,
                b.to,
                b.from.micros_since(a.to)
            ));
        }
    }
}

/// Numbers go up; where one is missing a gap of that length explains it.
fn follows(
    v: &mut Verdict,
    spans: &[TimeRange],
    gaps: &[(TimeRange, GapCause)],
    pictures: &[(u64, UtcMicros)],
    sent: &BTreeMap<u64, Sent>,
    slack: i64,
) {
    let gap_between = |from: UtcMicros, to: UtcMicros| -> i64 {
        let begin = gaps.partition_point(|(g, _)| g.to <= from);
        gaps[begin..]
            .iter()
            .take_while(|(g, _)| g.from < to)
            .map(|(g, _)| g.micros())
            .sum()
    };
    for pair in pictures.windows(2) {
        let [(n1, t1), (n2, t2)] = pair else { continue };
        if n2 <= n1 || t2 <= t1 {
            v.wrong
                .push(format!("picture {n2} at {t2} comes after {n1} at {t1}"));
            continue;
        }
        let missing: Vec<u64> = (n1 + 1..*n2).collect();
        if missing.is_empty() && gap_between(*t1, *t2) == 0 {
            continue;
        }
        let gap = gap_between(*t1, *t2);
        if gap > 0 {
            // A step of the clock forward is a gap in which no picture is missing.
            let steps = |(g, c): &&(TimeRange, GapCause)| {
                *c == GapCause::ClockStep && g.from < *t2 && g.to > *t1
            };
            if gaps.iter().any(|g| steps(&g)) {
                continue;
            }
            let due = i64::try_from(missing.len()).unwrap() * PICTURE;
            v.worst_gap = v.worst_gap.max((gap - due).abs());
            if (gap - due).abs() > PICTURE + slack {
                v.wrong.push(format!(
                    "between picture {n1} and {n2} a gap of {gap} µs stands for {} pictures",
                    missing.len()
                ));
            }
            continue;
        }
        for n in missing {
            match sent.get(&n) {
                // Never sent: the session began later, or the pictures stopped for less than a gap is long.
                None => {}
                Some(s) if s.hurt => v.hurt += 1,
                Some(_) => v.wrong.push(format!(
                    "picture {n} was sent, is not on the disk, and no gap says so (neighbours {n1} at {t1}, {n2} at {t2})"
                )),
            }
        }
    }
    // Each span is as long as its pictures, to one picture.
    let mut joined: Vec<TimeRange> = Vec::new();
    for s in spans {
        match joined.last_mut() {
            Some(last) if last.to == s.from => last.to = s.to,
            Some(_) | None => joined.push(*s),
        }
    }
    for span in &joined {
        let inside: Vec<u64> = pictures
            .iter()
            .filter(|(_, t)| span.from <= *t && *t < span.to)
            .map(|(n, _)| *n)
            .collect();
        let (Some(first), Some(last)) = (inside.first(), inside.last()) else {
            v.wrong.push(format!("nothing is in {span:?}"));
            continue;
        };
        let due = i64::try_from(last - first + 1).unwrap() * PICTURE;
        // The camera's clock and ours are the same: slewing follows the delay of delivery, 500 ppm at most.
        let slewed = due / 1_000 + slack;
        if (span.micros() - due).abs() > PICTURE + slewed {
            v.wrong.push(format!(
                "{span:?} is {} µs long and holds pictures {first} to {last}",
                span.micros()
            ));
        }
    }
}

/// Pictures that were sent up to a kill, in the session it ended, and are not on the disk: µs of footage lost.
pub fn lost_before(
    v: &Verdict,
    sent: &BTreeMap<u64, Sent>,
    killed: std::time::Instant,
    before: std::time::Instant,
) -> i64 {
    let lost = sent
        .iter()
        .filter(|(n, s)| s.at > before && s.at <= killed && !v.on_disk.contains_key(n))
        .count();
    i64::try_from(lost).unwrap() * PICTURE
}

/// Every segment file plays; returns what ffmpeg complained of.
pub fn all_play(dir: &Path) -> (usize, Vec<String>) {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "mp4") {
                files.push(path);
            }
        }
    }
    files.sort();
    let n = files.len();
    // Two at a time: the machines this runs on have two cores.
    let half = files.split_off(n / 2);
    let other = std::thread::spawn(move || play(&half));
    let mut said = play(&files);
    said.extend(other.join().unwrap());
    (n, said)
}

fn play(files: &[PathBuf]) -> Vec<String> {
    let mut said = Vec::new();
    for file in files {
        let out = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-i"])
            .arg(file)
            // In the file's own time base: in the usual 1/25 s pictures less than that apart would be at the same time.
            .args(["-fps_mode", "passthrough", "-enc_time_base", "-1"])
            .args(["-f", "null", "-"])
            .output()
            .expect("ffmpeg is installed: apt-get install ffmpeg");
        if !out.status.success() || !out.stderr.is_empty() {
            let text = String::from_utf8_lossy(&out.stderr).into_owned();
            said.push(format!("{}: {text}", file.display()));
        }
    }
    said
}

/// Numbers of the pictures that lie in a range of time.
pub fn inside(v: &Verdict, range: TimeRange) -> BTreeSet<u64> {
    v.on_disk
        .iter()
        .filter(|(_, t)| range.contains(**t))
        .map(|(n, _)| *n)
        .collect()
}
