//! In a worker: pictures out of a clip as JPEG, one as it is, or many small ones with their times under them.

use std::collections::BTreeMap;
use std::io::Write;

use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;

use super::codec::{Damage, decode, library};
use super::cut::{begins_anew, micros};
use super::glyphs;
use super::job::Job;
use super::movie::Movie;
use super::order::Derived;
use crate::media::still;
use crate::model::UtcMicros;

const COLUMNS: u32 = 8;
const ROWS: u32 = 12;
const THUMBNAIL: u32 = 320;
/// Two dots a pixel of a glyph can be read on paper.
const LETTER: usize = 2;
const LINE: usize = glyphs::HEIGHT * LETTER + 10;
/// The clock of the people who look at it: China has one.
const OFFSET_US: i64 = 8 * 3_600 * 1_000_000;

/// A picture in memory as JPEG takes it (4:2:0, full range).
pub(super) struct Canvas {
    picture: Video,
}

impl Canvas {
    fn new(width: u32, height: u32) -> Self {
        let mut picture = Video::new(Pixel::YUVJ420P, width, height);
        for (plane, value) in [(0, 24), (1, 128), (2, 128)] {
            picture.data_mut(plane).fill(value);
        }
        Self { picture }
    }

    /// A bright square.
    pub(super) fn bright(&mut self, left: usize, top: usize, size: usize) {
        let stride = self.picture.stride(0);
        let width = usize::try_from(self.picture.width()).unwrap_or(0);
        let data = self.picture.data_mut(0);
        for y in top..top + size {
            let right = (left + size).min(width);
            if let Some(dots) = data.get_mut(y * stride + left.min(right)..y * stride + right) {
                dots.fill(235);
            }
        }
    }

    /// `left` and `top` are even.
    fn paste(&mut self, from: &Video, left: usize, top: usize) {
        for plane in 0..3 {
            let half = usize::from(plane > 0);
            let (width, height) = (from.plane_width(plane), from.plane_height(plane));
            let (width, height) = (
                usize::try_from(width).unwrap_or(0),
                usize::try_from(height).unwrap_or(0),
            );
            let (there, here) = (from.stride(plane), self.picture.stride(plane));
            let (left, top) = (left >> half, top >> half);
            let source = from.data(plane);
            let target = self.picture.data_mut(plane);
            for y in 0..height {
                let row = source.get(y * there..y * there + width);
                let place =
                    target.get_mut((top + y) * here + left..(top + y) * here + left + width);
                if let (Some(row), Some(place)) = (row, place) {
                    place.copy_from_slice(row);
                }
            }
        }
    }
}

pub(super) fn still(job: &mut Job<'_>, at_us: i64) -> Result<Derived, String> {
    let movie = Movie::open(&job.order.clip)?;
    let at = on_screen(&movie, at_us)?;
    let mut jpeg = None;
    pictures(&movie, &[at], Damage::Refuse, job, |_, picture| {
        let (width, height) = still::shown_size(picture, aspect(&movie, at), 0);
        let scaled =
            still::scale(picture, width, height).map_err(|e| format!("scaling failed: {e}"))?;
        jpeg = Some(still::encode(&scaled).map_err(|e| format!("encoding the JPEG failed: {e}"))?);
        Ok(())
    })?;
    let jpeg = jpeg.ok_or("the picture could not be decoded")?;
    let settings = format!(
        "{}; as large as shown, JPEG quantiser 2, BT.601 full range",
        library()
    );
    finish(job, &movie, &jpeg, &[at], settings, Vec::new())
}

pub(super) fn sheet(job: &mut Job<'_>, columns: u32, rows: u32) -> Result<Derived, String> {
    if !(1..=COLUMNS).contains(&columns) || !(1..=ROWS).contains(&rows) {
        return Err(format!(
            "a sheet has 1 to {COLUMNS} columns and 1 to {ROWS} rows"
        ));
    }
    let movie = Movie::open(&job.order.clip)?;
    let length = micros(movie.video.end, movie.video.timescale);
    let cells = i64::from(columns * rows);
    let wanted = (0..cells).map(|i| on_screen(&movie, length * i / cells));
    let mut wanted: Vec<usize> = wanted.collect::<Result<_, _>>()?;
    // A short clip has fewer pictures than the sheet has places.
    wanted.dedup();
    let mut small: BTreeMap<usize, Video> = BTreeMap::new();
    let damaged = pictures(&movie, &wanted, Damage::Show, job, |i, picture| {
        let (width, height) = still::shown_size(picture, aspect(&movie, i), THUMBNAIL);
        let (width, height) = ((width & !1).max(2), (height & !1).clamp(2, 2 * THUMBNAIL));
        small.insert(
            i,
            still::scale(picture, width, height).map_err(|e| format!("scaling failed: {e}"))?,
        );
        Ok(())
    })?;
    let size = |side: fn(&Video) -> u32| small.values().map(side).max().unwrap_or(2);
    let (width, height) = (size(Video::width), size(Video::height));
    let line = u32::try_from(LINE).unwrap_or(24);
    let cell = (
        usize::try_from(width + 8).unwrap_or(0),
        usize::try_from(height + line).unwrap_or(0),
    );
    let shown = u32::try_from(wanted.len()).unwrap_or(1);
    let columns = columns.min(shown);
    let across = u32::try_from(glyphs::ADVANCE * LETTER * 53 + 16).unwrap_or(0);
    let mut canvas = Canvas::new(
        ((width + 8) * columns + 8).max(across),
        (height + line) * shown.div_ceil(columns) + line + 8,
    );
    let at = |i: usize| {
        movie
            .video
            .samples
            .get(i)
            .map_or(0, |s| micros(s.pts, movie.video.timescale))
    };
    let starts = job.order.starts;
    let (date, from) = local(starts);
    let (_, to) = local(starts + length);
    glyphs::draw(
        &mut canvas,
        &format!("{date} {from} - {to}  UTC+08:00"),
        8,
        8,
        LETTER,
    );
    for (n, i) in wanted.iter().enumerate() {
        let per_row = usize::try_from(columns).unwrap_or(1);
        let (left, top) = (8 + n % per_row * cell.0, LINE + 8 + n / per_row * cell.1);
        if let Some(picture) = small.get(i) {
            canvas.paste(picture, left, top & !1);
        }
        let (_, time) = local(starts + at(*i));
        glyphs::draw(&mut canvas, &time, left, top + cell.1 - LINE + 4, LETTER);
    }
    let jpeg =
        still::encode(&canvas.picture).map_err(|e| format!("encoding the JPEG failed: {e}"))?;
    let settings = format!(
        "{}; {} pictures at equal steps, at most {THUMBNAIL} pixels wide, times in UTC+08:00, JPEG quantiser 2",
        library(),
        wanted.len()
    );
    let mut notes = Vec::new();
    let missing = wanted.len() - small.len();
    if damaged > 0 || missing > 0 {
        notes.push(format!(
            "The recording is damaged: {damaged} pictures were patched by the decoder on the way, {missing} places are empty."
        ));
    }
    finish(job, &movie, &jpeg, &wanted, settings, notes)
}

fn aspect(movie: &Movie, sample: usize) -> (u32, u32) {
    let entry = movie
        .video
        .samples
        .get(sample)
        .map_or(0, |s| usize::from(s.entry));
    movie.video.entries.get(entry).map_or((1, 1), |e| e.aspect)
}

/// The date and the time of day in China, milliseconds cut off as a clock does.
fn local(t: UtcMicros) -> (String, String) {
    let text = (t + OFFSET_US).to_string();
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default().to_owned();
    (part(0..10), part(11..23))
}

/// Which picture is on the screen at this time.
fn on_screen(movie: &Movie, at_us: i64) -> Result<usize, String> {
    let at = i128::from(at_us) * i128::from(movie.video.timescale) / 1_000_000;
    let all = || movie.video.samples.iter().enumerate();
    let before = all().filter(|(_, s)| i128::from(s.pts) <= at && s.pts < movie.video.end);
    let before = before.max_by_key(|(_, s)| s.pts);
    let found = before.or_else(|| all().min_by_key(|(_, s)| s.pts));
    found
        .map(|(i, _)| i)
        .ok_or_else(|| "the clip has no pictures".into())
}

/// Decodes these samples, each run of pictures only once. Returns how many pictures were patched.
fn pictures(
    movie: &Movie,
    wanted: &[usize],
    damage: Damage,
    job: &mut Job<'_>,
    mut each: impl FnMut(usize, &Video) -> Result<(), String>,
) -> Result<u64, String> {
    let samples = &movie.video.samples;
    // By the key picture from which they can be decoded.
    let mut runs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for i in wanted {
        let mut lead = None;
        for key in (0..=*i)
            .rev()
            .filter(|k| samples.get(*k).is_some_and(|s| s.key))
        {
            if begins_anew(movie, key)? {
                lead = Some(key);
                break;
            }
        }
        let lead =
            lead.ok_or("the clip has no key picture from which this one could be decoded")?;
        runs.entry(lead).or_default().push(*i);
    }
    let mut damaged = 0;
    for (lead, of) in runs {
        let last = of.iter().copied().max().unwrap_or(lead);
        let mut seen = lead;
        let done = decode(movie, lead..last + 1, damage, |picture| {
            seen += 1;
            job.alive(seen, samples.len())?;
            for i in &of {
                if samples
                    .get(*i)
                    .is_some_and(|s| Some(s.pts) == picture.pts())
                {
                    each(*i, &picture)?;
                }
            }
            Ok(true)
        })?;
        damaged += done.damaged;
    }
    Ok(damaged)
}

fn finish(
    job: &Job<'_>,
    movie: &Movie,
    jpeg: &[u8],
    shown: &[usize],
    settings: String,
    notes: Vec<String>,
) -> Result<Derived, String> {
    let bytes = u64::try_from(jpeg.len()).unwrap_or(u64::MAX);
    if bytes > job.order.max_bytes {
        return Err(format!(
            "the picture has {bytes} bytes, more than it may have"
        ));
    }
    std::fs::File::create_new(&job.order.out)
        .and_then(|mut file| file.write_all(jpeg).and_then(|()| file.sync_data()))
        .map_err(|e| format!("the picture cannot be written: {e}"))?;
    let scale = movie.video.timescale;
    let of = |i: &usize| movie.video.samples.get(*i);
    let from = shown
        .iter()
        .filter_map(of)
        .map(|s| s.pts)
        .min()
        .unwrap_or(0);
    let to = shown
        .iter()
        .filter_map(of)
        .map(|s| s.pts + i64::from(s.duration))
        .max();
    Ok(Derived {
        bytes,
        from_us: micros(from, scale),
        to_us: micros(to.unwrap_or(movie.video.end).min(movie.video.end), scale),
        copied: 0,
        encoded: u64::try_from(shown.len()).unwrap_or(0),
        encoder: Some("mjpeg".into()),
        settings,
        audio: "none".into(),
        notes,
    })
}
