//! In a worker: a small copy for slow lines and long looking. Everything is encoded anew; it is for the eye, not for proof.

use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::software::scaling;

use super::codec::{Damage, Encoder, Settings, Unit, decode, library};
use super::cut::{begins_anew, micros, rate, sound, ticks};
use super::job::Job;
use super::movie::Movie;
use super::nal::AvcRecord;
use super::order::Derived;
use super::seams::first_picture;
use super::write::{Made, OutMovie, OutSample, OutTrack, write};
use super::{boxes::Boxes, movie::AudioTrack};
use crate::media::native::{self, Colours};
use crate::media::still;

const WIDTH: u32 = 640;
const BITS: u32 = 400_000;
/// Two seconds at the rate of most cameras: jumping stays quick.
const GOP: u32 = 50;

pub(super) fn run(job: &mut Job<'_>, from_us: i64, to_us: i64) -> Result<Derived, String> {
    let movie = Movie::open(&job.order.clip)?;
    let (scale, all) = (movie.video.timescale, &movie.video.samples);
    let wanted = ticks(from_us, scale)..ticks(to_us, scale).min(movie.video.end);
    if wanted.is_empty() {
        return Err("no picture of the clip is shown in this range".into());
    }
    let (first, start) = first_picture(all, scale, &wanted)
        .ok_or("no picture of the clip is shown in this range")?;
    let shown = start..wanted.end;
    let mut lead = first;
    while !begins_anew(&movie, lead)? {
        lead = lead
            .checked_sub(1)
            .ok_or("the clip has no key picture before the range from which it could be decoded")?;
    }
    let end = all
        .iter()
        .rposition(|s| shown.contains(&s.pts))
        .map_or(all.len(), |i| i + 1);
    let settings = Settings::low(BITS, GOP);
    let mut film = Film {
        made: job.scratch()?,
        samples: Vec::new(),
        start,
    };
    let rate = rate(all.get(lead..end).unwrap_or_default(), scale);
    let aspect = movie.video.entries.first().map_or((1, 1), |e| e.aspect);
    let mut small: Option<(Small, Encoder)> = None;
    let mut seen = lead;
    let done = decode(&movie, lead..end, Damage::Show, |picture| {
        seen += 1;
        job.alive(seen - lead, end - lead)?;
        let Some(pts) = picture.pts().filter(|pts| shown.contains(pts)) else {
            return Ok(true);
        };
        let (small, encoder) = match &mut small {
            Some(known) => known,
            None => {
                let mut made = Small::new(still::shown_size(&picture, aspect, WIDTH));
                let first = made.of(&picture, pts)?;
                let encoder = Encoder::open(&settings, &first, (1, 1), scale, rate)?;
                small.insert((made, encoder))
            }
        };
        let mut picture = small.of(&picture, pts)?;
        encoder.push(&mut picture, |unit| film.keep(&unit))?;
        Ok(true)
    })?;
    let (small, mut encoder) = small.ok_or("no picture of the range could be decoded")?;
    encoder.finish(|unit| film.keep(&unit))?;
    let record = AvcRecord::of(&encoder.sets).ok_or("the encoder gave no parameter sets")?;
    let mut notes = Vec::new();
    if done.damaged > 0 {
        notes.push(format!(
            "The recording is damaged: {} pictures were patched by the decoder or left out.",
            done.damaged
        ));
    }
    let (audio, said) = hear(&movie, &shown, scale, &mut notes);
    let side = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    let (width, height) = (side(small.width), side(small.height));
    let encoded = u64::try_from(film.samples.len()).unwrap_or(0);
    let mut derived = Derived {
        bytes: 0,
        from_us: micros(start, scale),
        to_us: micros(shown.end, scale),
        copied: 0,
        encoded,
        encoder: Some(settings.encoder().into()),
        settings: format!("{}; {width}x{height}; {}", library(), settings.words()),
        audio: said.into(),
        notes,
    };
    let out = OutMovie {
        begins: job.order.starts + derived.from_us,
        video: OutTrack {
            timescale: scale,
            entries: vec![avc1(&record, width, height)],
            samples: film.samples,
            end: shown.end - start,
            width,
            height,
        },
        audio,
    };
    let order = job.order;
    derived.bytes = write(
        &order.out,
        &out,
        movie.file(),
        &mut film.made,
        order.max_bytes,
        || job.writing(),
    )
    .map_err(|e| format!("the copy cannot be written: {e}"))?;
    Ok(derived)
}

struct Film {
    made: Made,
    samples: Vec<OutSample>,
    start: i64,
}

impl Film {
    fn keep(&mut self, unit: &Unit) -> Result<(), String> {
        let place = self
            .made
            .add(&unit.data)
            .map_err(|e| format!("what was encoded cannot be kept: {e}"))?;
        self.samples.push(OutSample {
            place,
            size: u32::try_from(unit.data.len()).unwrap_or(u32::MAX),
            pts: unit.pts - self.start,
            key: unit.key,
            entry: 0,
        });
        Ok(())
    }
}

/// Makes pictures small, with square pixels; the camera may change its size on the way.
struct Small {
    width: u32,
    height: u32,
    scaler: Option<((Pixel, u32, u32), scaling::Context)>,
}

impl Small {
    fn new((width, height): (u32, u32)) -> Self {
        Self {
            width: (width & !1).max(2),
            height: (height & !1).max(2),
            scaler: None,
        }
    }

    fn of(&mut self, picture: &Video, pts: i64) -> Result<Video, String> {
        let failed = |e: ffmpeg_next::Error| format!("scaling failed: {e}");
        let from = (picture.format(), picture.width(), picture.height());
        let colours = still::colours_of(picture);
        let limited = Colours {
            full_range: false,
            ..colours
        };
        let scaler = match &mut self.scaler {
            Some((known, scaler)) if *known == from => scaler,
            other => {
                let flags = scaling::Flags::BICUBIC | scaling::Flags::ACCURATE_RND;
                let mut scaler = scaling::Context::get(
                    from.0,
                    from.1,
                    from.2,
                    Pixel::YUV420P,
                    self.width,
                    self.height,
                    flags,
                )
                .map_err(failed)?;
                // Refused only for grey and RGB pictures, where there is nothing to tell.
                let _told = native::set_colours(&mut scaler, colours, limited);
                &mut other.insert((from, scaler)).1
            }
        };
        let mut out = Video::empty();
        scaler.run(picture, &mut out).map_err(failed)?;
        out.set_pts(Some(pts));
        out.set_color_range(ffmpeg_next::color::Range::MPEG);
        out.set_color_space(picture.color_space());
        out.set_color_primaries(picture.color_primaries());
        out.set_color_transfer_characteristic(picture.color_transfer_characteristic());
        Ok(out)
    }
}

/// AAC as it is; what browsers do not play is left out, and said.
fn hear(
    movie: &Movie,
    shown: &std::ops::Range<i64>,
    scale: u32,
    notes: &mut Vec<String>,
) -> (Option<OutTrack>, &'static str) {
    let Some(track) = &movie.audio else {
        return (None, "none");
    };
    if track.kind() != *b"mp4a" {
        notes.push(format!("The sound ({}) is left out.", kind_words(track)));
        return (None, "left_out");
    }
    let heard = sound(track, shown, scale);
    let said = if heard.is_some() { "copied" } else { "none" };
    (heard, said)
}

fn kind_words(track: &AudioTrack) -> String {
    String::from_utf8_lossy(&track.kind()).trim().to_owned()
}

/// §12.1.3 and ISO/IEC 14496-15 §5.4.2.
fn avc1(record: &AvcRecord, width: u16, height: u16) -> Vec<u8> {
    let mut b = Boxes::default();
    b.nest(b"avc1", |b| {
        b.zeros(6);
        b.u16(1); // data reference
        b.zeros(16);
        b.u16(width);
        b.u16(height);
        b.u32(0x0048_0000); // 72 dpi
        b.u32(0x0048_0000);
        b.u32(0);
        b.u16(1); // frames a sample
        b.zeros(32);
        b.u16(0x0018); // depth
        b.u16(0xffff);
        b.nest(b"avcC", |b| b.bytes(&record.bytes()));
    });
    b.buf
}
