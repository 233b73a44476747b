//! In a worker: the exact cut. Pictures are copied NAL unit for NAL unit; only the seams are encoded.
//!
//! **H.264** keeps one sample entry for each of the clip: the encoder's parameter sets get a number the camera does not use
//! and stand beside the camera's in `avcC`, so every decoder holds both from the start. **H.265** has no such choice (x265
//! always uses 0): the entry becomes `hev1`, and every key picture carries the parameter sets it needs in front of it, so
//! that playing on and jumping both find the right ones.

use std::ops::Range;

use super::boxes::{Boxes, Input};
use super::codec::{Damage, Encoder, Settings, Unit, decode, library, seconds};
use super::job::Job;
use super::movie::{AudioTrack, Entry, Movie, Sample};
use super::nal::{self, Refresh};
use super::order::Derived;
use super::seams::{self, Part};
use super::write::{Made, OutMovie, OutSample, OutTrack, Place, write};
use crate::model::VideoCodec;

pub(super) fn run(job: &mut Job<'_>, from_us: i64, to_us: i64) -> Result<Derived, String> {
    let movie = Movie::open(&job.order.clip)?;
    let scale = movie.video.timescale;
    let wanted = ticks(from_us, scale)..ticks(to_us, scale).min(movie.video.end);
    let all = movie.video.samples.len();
    let cut = seams::cut(&movie.video.samples, scale, wanted, |i| {
        job.alive(i, all)?;
        begins_anew(&movie, i)
    })
    .map_err(|e| e.to_string())?;
    let mut film = Film {
        movie: &movie,
        shown: cut.shown.clone(),
        made: job.scratch()?,
        entries: movie.video.entries.clone(),
        samples: Vec::new(),
        settings: None,
        in_band: cut.parts.iter().any(|p| matches!(p, Part::Encode(_))),
        encoded: 0,
    };
    for (i, part) in cut.parts.iter().enumerate() {
        match part {
            Part::Copy(run) => film.copy(run.clone(), job)?,
            Part::Encode(run) => {
                film.encode(run.clone(), job)?;
                if let Some(Part::Copy(next)) = cut.parts.get(i + 1) {
                    film.end_sequence(next.start)?;
                }
            }
        }
    }
    let expected = movie
        .video
        .samples
        .iter()
        .filter(|s| cut.shown.contains(&s.pts))
        .count();
    if film.samples.len() != expected {
        return Err(format!(
            "{} of the {expected} pictures of the range could be decoded; the recording is damaged there",
            film.samples.len()
        ));
    }
    film.finish(job)
}

pub(super) fn ticks(us: i64, scale: u32) -> i64 {
    let ticks = (i128::from(us) * i128::from(scale) + 500_000).div_euclid(1_000_000);
    i64::try_from(ticks).unwrap_or(i64::MAX)
}

pub(super) fn micros(ticks: i64, scale: u32) -> i64 {
    let us = (i128::from(ticks) * 1_000_000 + i128::from(scale) / 2)
        .div_euclid(i128::from(scale.max(1)));
    i64::try_from(us).unwrap_or(i64::MAX)
}

/// Whether nothing from this key picture on needs what was before it.
pub(super) fn begins_anew(movie: &Movie, i: usize) -> Result<bool, String> {
    let samples = &movie.video.samples;
    let Some(sample) = samples.get(i).filter(|s| s.key) else {
        return Ok(false);
    };
    let codec = movie
        .video
        .entries
        .get(usize::from(sample.entry))
        .map_or(VideoCodec::H264, |e| e.codec);
    Ok(match nal::refresh(codec, &movie.read(sample)?) {
        Refresh::Instant => true,
        Refresh::Gradual => false,
        Refresh::UnlessLeading => {
            let own = samples.iter().skip(i + 1).take_while(|s| !s.key);
            own.into_iter().all(|s| s.pts > sample.pts)
        }
    })
}

struct Film<'a> {
    movie: &'a Movie,
    shown: Range<i64>,
    made: Made,
    entries: Vec<Entry>,
    /// In the order of decoding; times from the start of the clip.
    samples: Vec<OutSample>,
    settings: Option<Settings>,
    /// Something is encoded: H.265 needs its parameter sets in front of key pictures.
    in_band: bool,
    encoded: u64,
}

impl Film<'_> {
    fn copy(&mut self, run: Range<usize>, job: &mut Job<'_>) -> Result<(), String> {
        for (i, sample) in self
            .movie
            .video
            .samples
            .iter()
            .enumerate()
            .take(run.end)
            .skip(run.start)
        {
            job.alive(i, self.movie.video.samples.len())?;
            // Pictures that lead a key picture and are shown before it.
            if sample.pts < self.shown.start {
                continue;
            }
            let (place, size) =
                if sample.key && self.in_band && self.codec(sample) == VideoCodec::H265 {
                    self.with_sets(sample)?
                } else {
                    (Place::Clip(sample.offset), sample.size)
                };
            self.samples.push(OutSample {
                place,
                size,
                pts: sample.pts,
                key: sample.key,
                entry: sample.entry,
            });
        }
        Ok(())
    }

    fn codec(&self, sample: &Sample) -> VideoCodec {
        self.entries
            .get(usize::from(sample.entry))
            .map_or(VideoCodec::H264, |e| e.codec)
    }

    fn with_sets(&mut self, sample: &Sample) -> Result<(Place, u32), String> {
        let record = self
            .entries
            .get(usize::from(sample.entry))
            .map(|e| e.record.as_slice());
        let mut data = record
            .and_then(nal::hevc_sets)
            .ok_or("the `hvcC` record of the clip is damaged")?;
        data.extend_from_slice(&self.movie.read(sample)?);
        self.add(&data)
    }

    fn add(&mut self, data: &[u8]) -> Result<(Place, u32), String> {
        let place = self
            .made
            .add(data)
            .map_err(|e| format!("what was encoded cannot be kept: {e}"))?;
        Ok((place, u32::try_from(data.len()).unwrap_or(u32::MAX)))
    }

    fn encode(&mut self, run: Range<usize>, job: &mut Job<'_>) -> Result<(), String> {
        let movie = self.movie;
        let (all, scale) = (&movie.video.samples, movie.video.timescale);
        let number = all.get(run.start).map_or(0, |s| s.entry);
        let entry = self
            .entries
            .get(usize::from(number))
            .cloned()
            .ok_or("the clip has no such sample entry")?;
        let id = match entry.codec {
            VideoCodec::H264 => record(&entry)?
                .free_id()
                .ok_or("the camera uses every number of parameter sets")?,
            VideoCodec::H265 => 0,
        };
        let settings = Settings::seam(&entry, id);
        let rate = rate(all.get(run.clone()).unwrap_or_default(), scale);
        let mut encoder: Option<Encoder> = None;
        let mut seen = 0;
        decode(movie, run.clone(), Damage::Refuse, |mut picture| {
            seen += 1;
            job.alive(run.start + seen, all.len())?;
            if !picture.pts().is_some_and(|pts| self.shown.contains(&pts)) {
                return Ok(true);
            }
            let encoder = match &mut encoder {
                Some(encoder) => encoder,
                None => encoder.insert(Encoder::open(
                    &settings,
                    &picture,
                    entry.aspect,
                    scale,
                    rate,
                )?),
            };
            encoder.push(&mut picture, |unit| self.keep(&unit, number, entry.codec))?;
            Ok(true)
        })?;
        let mut encoder = encoder.ok_or_else(|| {
            let (from, to) = (
                seconds(self.shown.start, scale),
                seconds(self.shown.end, scale),
            );
            format!("no picture from {from} to {to} of the clip could be decoded")
        })?;
        encoder.finish(|unit| self.keep(&unit, number, entry.codec))?;
        if entry.codec == VideoCodec::H264
            && let Some(kept) = self.entries.get_mut(usize::from(number))
        {
            let mut both = record(kept)?;
            both.add(&encoder.sets);
            kept.record = both.bytes();
        }
        self.settings = Some(settings);
        Ok(())
    }

    fn keep(&mut self, unit: &Unit, entry: u16, codec: VideoCodec) -> Result<(), String> {
        let (place, size) = match codec {
            VideoCodec::H264 => self.add(&unit.data)?,
            VideoCodec::H265 => self.add(&[unit.sets.as_slice(), &unit.data].concat())?,
        };
        self.samples.push(OutSample {
            place,
            size,
            pts: unit.pts,
            key: unit.key,
            entry,
        });
        self.encoded += 1;
        Ok(())
    }

    /// A CRA behind an encoded part must not look for the pictures that were there in the clip.
    fn end_sequence(&mut self, next: usize) -> Result<(), String> {
        let Some(sample) = self.movie.video.samples.get(next) else {
            return Ok(());
        };
        let codec = self.codec(sample);
        if nal::refresh(codec, &self.movie.read(sample)?) != Refresh::UnlessLeading {
            return Ok(());
        }
        let mut end = Vec::new();
        nal::put_unit(&mut end, &nal::END_OF_SEQUENCE_H265);
        // The last picture is the last that was kept: this lies right behind it.
        let (_, more) = self.add(&end)?;
        if let Some(last) = self.samples.last_mut() {
            last.size += more;
        }
        Ok(())
    }

    fn finish(mut self, job: &mut Job<'_>) -> Result<Derived, String> {
        let scale = self.movie.video.timescale;
        let start = self.shown.start;
        let mut used: Vec<u16> = self.samples.iter().map(|s| s.entry).collect();
        used.sort_unstable();
        used.dedup();
        for sample in &mut self.samples {
            sample.pts -= start;
            let at = used.iter().position(|u| *u == sample.entry);
            sample.entry = at.and_then(|at| u16::try_from(at).ok()).unwrap_or(0);
        }
        let entries: Vec<Entry> = used
            .iter()
            .filter_map(|u| self.entries.get(usize::from(*u)).cloned())
            .collect();
        let copied = u64::try_from(self.samples.len()).unwrap_or(0) - self.encoded;
        let video = OutTrack {
            timescale: scale,
            width: entries.iter().map(|e| e.width).max().unwrap_or(0),
            height: entries.iter().map(|e| e.height).max().unwrap_or(0),
            entries: entries
                .iter()
                .map(|e| sample_entry(e, self.in_band))
                .collect(),
            samples: self.samples,
            end: self.shown.end - start,
        };
        let audio = self
            .movie
            .audio
            .as_ref()
            .and_then(|a| sound(a, &self.shown, scale));
        let mut derived = Derived {
            bytes: 0,
            from_us: micros(start, scale),
            to_us: micros(self.shown.end, scale),
            copied,
            encoded: self.encoded,
            encoder: self.settings.as_ref().map(|s| s.encoder().to_owned()),
            settings: self.settings.as_ref().map_or_else(
                || "nothing encoded".to_owned(),
                |s| format!("{}; {}", library(), s.words()),
            ),
            audio: if audio.is_some() { "copied" } else { "none" }.into(),
            notes: Vec::new(),
        };
        if copied == 0 {
            derived.notes.push("No key picture inside the range begins anew: all of it is encoded, nothing is copied.".into());
        }
        let out = OutMovie {
            begins: job.order.starts + derived.from_us,
            video,
            audio,
        };
        let order = job.order;
        derived.bytes = write(
            &order.out,
            &out,
            self.movie.file(),
            &mut self.made,
            order.max_bytes,
            || job.writing(),
        )
        .map_err(|e| format!("the cut cannot be written: {e}"))?;
        Ok(derived)
    }
}

fn record(entry: &Entry) -> Result<nal::AvcRecord, String> {
    nal::AvcRecord::parse(&entry.record)
        .ok_or_else(|| "the `avcC` record of the clip is damaged".into())
}

/// Pictures a second, about, as a fraction: what the encoder's rate control expects.
pub(super) fn rate(run: &[Sample], scale: u32) -> (i32, i32) {
    let mut durations: Vec<u32> = run.iter().map(|s| s.duration).collect();
    durations.sort_unstable();
    let median = durations
        .get(durations.len() / 2)
        .copied()
        .unwrap_or(scale / 25);
    let whole = |n: u32| i32::try_from(n).unwrap_or(1).max(1);
    // Between 1 and 120: a gap or nonsense in the times is not the rate.
    let median = median.clamp(scale / 120, scale);
    (whole(scale), whole(median))
}

/// The entry of the clip with the record it has now.
fn sample_entry(entry: &Entry, in_band: bool) -> Vec<u8> {
    let (kind, config) = match (entry.codec, in_band) {
        (VideoCodec::H264, _) => (b"avc1", *b"avcC"),
        (VideoCodec::H265, false) => (b"hvc1", *b"hvcC"),
        (VideoCodec::H265, true) => (b"hev1", *b"hvcC"),
    };
    let mut b = Boxes::default();
    b.nest(kind, |b| {
        let fields = entry.raw.get(8..).unwrap_or_default();
        let (fixed, children) = fields.split_at_checked(78).unwrap_or((fields, &[]));
        b.bytes(fixed);
        let mut children = Input(children);
        while let Some((kind, content)) = children.next_box() {
            let content = if kind == config {
                &entry.record
            } else {
                content
            };
            b.nest(&kind, |b| b.bytes(content));
        }
    });
    b.buf
}

/// The sound that begins inside the range, as it is.
pub(super) fn sound(track: &AudioTrack, shown: &Range<i64>, scale: u32) -> Option<OutTrack> {
    let there = |t: i64| {
        let t = i128::from(t) * i128::from(track.timescale) / i128::from(scale.max(1));
        i64::try_from(t).unwrap_or(i64::MAX)
    };
    let (from, to) = (there(shown.start), there(shown.end));
    let inside: Vec<&Sample> = track
        .samples
        .iter()
        .filter(|s| (from..to).contains(&s.pts))
        .collect();
    let last = inside.last()?;
    let end = (last.pts + i64::from(last.duration)).min(to) - from;
    let samples = inside.iter().map(|s| OutSample {
        place: Place::Clip(s.offset),
        size: s.size,
        pts: s.pts - from,
        key: true,
        entry: 0,
    });
    Some(OutTrack {
        timescale: track.timescale,
        entries: vec![track.entry.clone()],
        samples: samples.collect(),
        end,
        width: 0,
        height: 0,
    })
}
