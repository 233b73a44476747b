//! The camera test. A server is watched and recorded, killed, started again, watched again and let go; then every picture
//! that came must lie in the archive, byte for byte, every moment must be recorded or explained, and FFmpeg must be content.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use zhenbei::archive::ClipAudio;
use zhenbei::model::{
    CameraPolicies, Clock, Coverage, GapCause, StreamState, SystemClock, TimeRange, Transport,
    VideoCodec,
};
use zhenbei::video::{Frame, Media, Read};

use crate::house::{Closed, House, key};
use crate::support::ffmpeg::decodes_without_complaint;

/// Pictures that each of the two sessions must bring.
const FIRST: usize = 40;
const SECOND: usize = 25;
/// Two seconds are for TEARDOWN; what is above is this machine's slowness.
const LETTING_GO: Duration = Duration::from_secs(8);

/// A server that can be killed.
pub trait Server {
    /// With user name and password, if it has them.
    fn url(&self) -> String;
    /// As when the power goes.
    async fn kill(&mut self);
    /// At the same address.
    async fn start_again(&mut self);
    /// Sessions it has open, if it tells.
    fn open_sessions(&self) -> Option<u32> {
        None
    }
}

/// What must come out.
pub struct Wants {
    pub transport: Transport,
    pub policies: CameraPolicies,
    pub codec: VideoCodec,
    pub size: (u16, u16),
    /// Kind of the sample entry, e.g. `alaw`.
    pub sound: Option<[u8; 4]>,
}

impl Wants {
    pub fn h264() -> Self {
        Self {
            transport: Transport::Tcp,
            policies: CameraPolicies::default(),
            codec: VideoCodec::H264,
            size: (320, 240),
            sound: None,
        }
    }
}

impl Wants {
    /// The second back-end knows the form of the sound when the first of it comes, which may be after the first pictures.
    fn learns_of_sound(&self) -> bool {
        self.transport != Transport::Tcp
    }
}

/// Runs the camera test; returns the pictures of each session for what only one server can be asked.
pub async fn camera_test(server: &mut impl Server, wants: &Wants) -> Vec<Vec<Arc<Frame>>> {
    let house = House::open(&server.url(), wants.transport, wants.policies).await;
    house
        .until("the first session shows pictures", |h| {
            enough(&h.seen(), 0, FIRST, wants)
        })
        .await;
    assert_eq!(house.state(), Some(StreamState::Streaming));
    server.kill().await;
    house
        .until("the death of the server is noticed", |h| {
            h.seen().iter().any(|r| matches!(r, Read::End(_))) && h.fault().is_some()
        })
        .await;
    server.start_again().await;
    house
        .until("pictures come again", |h| {
            enough(&h.seen(), 1, SECOND, wants)
        })
        .await;
    let closed = house.close().await;
    assert!(
        closed.letting_go < LETTING_GO,
        "letting go took {:?}",
        closed.letting_go
    );
    let left = server.open_sessions().unwrap_or_default();
    assert_eq!(left, 0, "sessions are left at the server");
    let sessions = sessions(&closed.seen);
    assert_eq!(
        sessions.len(),
        2,
        "one session before the accident and one after"
    );
    let pictures: Vec<Vec<_>> = sessions.iter().map(|s| of(s, Media::Video)).collect();
    for session in &pictures {
        well_formed(session, wants);
    }
    let recorded = every_moment_is_explained(&closed, &pictures).await;
    on_disk_as_received(&closed, &recorded, &pictures, wants).await;
    pictures
}

/// The frames of each session that had any.
pub fn sessions(seen: &[Read]) -> Vec<Vec<Arc<Frame>>> {
    let mut all = vec![Vec::new()];
    for read in seen {
        match read {
            Read::Frame(frame) => all.last_mut().unwrap().push(Arc::clone(frame)),
            Read::End(_) => all.push(Vec::new()),
            Read::Skipped { frames } => panic!("the test is too slow by {frames} frames"),
        }
    }
    all.retain(|s: &Vec<_>| !s.is_empty());
    all
}

fn of(frames: &[Arc<Frame>], media: Media) -> Vec<Arc<Frame>> {
    let wanted = frames.iter().filter(|f| f.media == media);
    wanted.cloned().collect()
}

fn enough(seen: &[Read], session: usize, pictures: usize, wants: &Wants) -> bool {
    let all = sessions(seen);
    let Some(frames) = all.get(session) else {
        return false;
    };
    let video = of(frames, Media::Video);
    let keys = video.iter().filter(|f| f.key).count();
    let sound = wants.sound.is_none() || of(frames, Media::Audio).len() >= 10;
    video.len() >= pictures && keys >= 2 && sound
}

/// The NAL units of a picture; fails if the lengths do not fit.
pub fn nals(mut data: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    while !data.is_empty() {
        let (len, rest) = data.split_first_chunk::<4>().expect("a length");
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap();
        let (nal, rest) = rest
            .split_at_checked(len)
            .expect("a NAL unit of that length");
        assert!(!nal.is_empty(), "an empty NAL unit");
        out.push(nal);
        data = rest;
    }
    out
}

/// The coded slices of a picture: what is left when a server adds or drops everything else.
pub fn slices(codec: VideoCodec, data: &[u8]) -> Vec<&[u8]> {
    let is_slice = |nal: &&[u8]| match codec {
        VideoCodec::H264 => (1..=5).contains(&(nal[0] & 0x1f)),
        VideoCodec::H265 => nal[0] >> 1 & 0x3f < 32,
    };
    nals(data).into_iter().filter(is_slice).collect()
}

fn well_formed(pictures: &[Arc<Frame>], wants: &Wants) {
    assert!(pictures[0].key, "a session begins with a key frame");
    for picture in pictures {
        let params = &picture.params;
        assert_eq!(params.codec, wants.codec);
        assert_eq!((params.width, params.height), wants.size);
        // configurationVersion of an avcC or hvcC record.
        assert_eq!(params.extra_data[0], 1);
        let prefix = match wants.codec {
            VideoCodec::H264 => "avc1.",
            VideoCodec::H265 => "hvc1.",
        };
        assert!(params.rfc6381.starts_with(prefix), "{}", params.rfc6381);
        let sound = params.audio.as_ref().map(|a| &a.sample_entry[4..8]);
        if sound.is_some() || !wants.learns_of_sound() {
            assert_eq!(sound, wants.sound.as_ref().map(|s| &s[..]));
        }
        // Datagrams may be lost on a machine that has too much to do; then they are counted.
        let sure = wants.transport == Transport::Tcp;
        assert!(!sure || picture.lost == 0, "nothing is lost over TCP");
        assert!(
            !slices(wants.codec, &picture.data).is_empty(),
            "a picture without a slice"
        );
    }
    for pair in pictures.windows(2) {
        assert!(pair[1].received > pair[0].received, "receive times go on");
    }
}

/// Recorded from when to when, session by session.
async fn every_moment_is_explained(
    closed: &Closed,
    pictures: &[Vec<Arc<Frame>>],
) -> Vec<TimeRange> {
    let asked = TimeRange::new(closed.opened, SystemClock.now()).unwrap();
    let coverage = closed.archive.coverage(&key(), asked).await.unwrap();
    tiles(&coverage, asked);
    let when = |f: Option<&Arc<Frame>>| f.unwrap().received;
    let (before, after) = coverage.spans.split_at(seam(&coverage));
    let whole =
        |spans: &[TimeRange]| TimeRange::new(spans[0].from, spans[spans.len() - 1].to).unwrap();
    let recorded = vec![whole(before), whole(after)];
    for (gap, cause) in &coverage.gaps {
        if recorded.iter().any(|r| r.overlaps(gap)) {
            // It stood still, or what it sent then was too far behind the clock.
            let stall = matches!(cause, GapCause::SourceStalled | GapCause::ClockStep);
            assert!(stall, "within a session: {coverage:?}");
        } else if gap.from >= recorded[0].to && gap.to <= recorded[1].from {
            let cameras = matches!(cause, GapCause::CameraDown | GapCause::SourceStalled);
            assert!(cameras, "between the sessions: {coverage:?}");
        }
    }
    for (range, session) in recorded.iter().zip(pictures) {
        let received = when(session.last()).micros_since(when(session.first()));
        let pts = || session.iter().map(|f| f.pts);
        let media = (pts().max().unwrap() - pts().min().unwrap()) * 100 / 9;
        // Such a server sends less media than time goes by; and jitter is slewed out.
        let slack = 1_500_000;
        let (least, most) = (media.min(received) - slack, media.max(received) + slack);
        assert!(
            (least..=most).contains(&range.micros()),
            "{} ms recorded, {} ms received, {} ms of media",
            range.micros() / 1000,
            received / 1000,
            media / 1000
        );
    }
    recorded
}

/// How many spans the first session has. Mostly one; a server that stalls for want of processor makes more of them.
fn seam(coverage: &Coverage) -> usize {
    let spans = &coverage.spans;
    assert!(
        spans.len() >= 2,
        "something between the sessions is missing: {coverage:?}"
    );
    let between = |i: &usize| TimeRange::new(spans[i - 1].to, spans[*i].from).unwrap();
    let down = |i: &usize| {
        let mut gaps = coverage.gaps.iter();
        gaps.any(|(gap, cause)| *cause == GapCause::CameraDown && gap.overlaps(&between(i)))
    };
    // A server whose death shows only in its silence may not be told down; then it is the longest silence.
    (1..spans.len())
        .max_by_key(|i| (down(i), between(i).micros()))
        .unwrap()
}

/// Fails unless spans and gaps tile the range.
fn tiles(coverage: &Coverage, asked: TimeRange) {
    let gaps = coverage.gaps.iter().map(|g| g.0);
    let mut all: Vec<TimeRange> = coverage.spans.iter().copied().chain(gaps).collect();
    all.sort_by_key(|r| r.from);
    assert_eq!(all[0].from, asked.from, "{coverage:?}");
    assert_eq!(all[all.len() - 1].to, asked.to, "{coverage:?}");
    for pair in all.windows(2) {
        assert_eq!(pair[0].to, pair[1].from, "{coverage:?}");
    }
}

async fn on_disk_as_received(
    closed: &Closed,
    recorded: &[TimeRange],
    pictures: &[Vec<Arc<Frame>>],
    wants: &Wants,
) {
    // Each session by itself: parameters may differ between them.
    for (range, session) in recorded.iter().zip(pictures) {
        let clip = closed.archive.clip(&key(), *range).await.unwrap();
        let sound = match wants.sound {
            Some(_) => ClipAudio::Included,
            None => ClipAudio::None,
        };
        let late = wants.learns_of_sound() && session[0].params.audio.is_none();
        let sound = if late { ClipAudio::LeftOut } else { sound };
        assert_eq!(clip.audio(), sound);
        let mut file = Vec::new();
        let mut stream = std::pin::pin!(clip.read(0..u64::MAX));
        while let Some(chunk) = stream.next().await {
            file.extend_from_slice(&chunk.unwrap());
        }
        let received: Vec<_> = session.iter().map(|f| hash(&f.data)).collect();
        let written: Vec<_> = access_units(&file).iter().map(|u| hash(u)).collect();
        let same = received == written;
        assert!(
            same,
            "{} pictures received, {} on disk, {} of them not received",
            received.len(),
            written.len(),
            missing(&written, &received)
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        std::fs::write(&path, &file).unwrap();
        decodes_without_complaint(&path);
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// How many of `these` are not in `those`.
fn missing(these: &[[u8; 32]], those: &[[u8; 32]]) -> usize {
    let mut count: HashMap<&[u8; 32], usize> = HashMap::new();
    for one in those {
        *count.entry(one).or_default() += 1;
    }
    let mut take = |h| match count.get_mut(h) {
        Some(n) if *n > 0 => {
            *n -= 1;
            false
        }
        Some(_) | None => true,
    };
    these.iter().filter(|h| take(*h)).count()
}

/// The samples of the video track, in decoding order.
pub fn access_units(file: &[u8]) -> Vec<Vec<u8>> {
    let mp4 = re_mp4::Mp4::read_bytes(file).unwrap();
    let track = mp4
        .tracks()
        .values()
        .find(|t| t.kind == Some(re_mp4::TrackKind::Video))
        .unwrap();
    let samples = track.samples.iter();
    samples.map(|s| file[s.byte_range()].to_vec()).collect()
}
