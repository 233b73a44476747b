//! Puts what a session receives in time: media time, server time, and beside them the camera's own. The same for every
//! back-end. No socket; the machine's clock is asked for through `Clock`.

use std::sync::Arc;
use std::time::Instant;

use tracing::{info, warn};

use super::camera_clock::ClockReader;
use super::frame::Arrival;
use super::rtcp;
use super::session::Fault;
use super::timeline::{MediaTimeline, ReceiveClock, steady};
use crate::model::{CameraClock, Clock, FaultKind, TimestampJumpPolicy, UtcMicros};

/// RFC 6184 §8.2.1 and RFC 7798 §7.1: always.
const VIDEO_RATE: u32 = 90_000;
/// Of a back-end that does not tell the distance from the camera's own zero.
pub(super) const UNTOLD: i64 = i64::MIN;

pub(super) struct Placing {
    clock: Arc<dyn Clock>,
    jump: TimestampJumpPolicy,
    started: Instant,
    receive: ReceiveClock,
    video: MediaTimeline,
    audio: MediaTimeline,
    camera: ClockReader,
    /// Of the newest picture.
    newest_rtp: Option<i64>,
}

/// Where a picture lies.
pub(super) struct Placed {
    pub(super) pts: i64,
    pub(super) received: UtcMicros,
    pub(super) arrival: Arrival,
    pub(super) camera_clock: CameraClock,
}

impl Placing {
    pub(super) fn new(clock: Arc<dyn Clock>, jump: TimestampJumpPolicy, audio_rate: u32) -> Self {
        let started = Instant::now();
        Self {
            receive: ReceiveClock::new(clock.now(), started),
            clock,
            jump,
            started,
            video: MediaTimeline::new(VIDEO_RATE),
            audio: MediaTimeline::new(audio_rate),
            camera: ClockReader::new(VIDEO_RATE),
            newest_rtp: None,
        }
    }

    /// The sound turned out to have this RTP clock.
    pub(super) fn audio_rate(&mut self, rate: u32) {
        self.audio = MediaTimeline::new(rate);
    }

    /// `rtp` is unwrapped; `since_play` its distance from the camera's own zero (RTP-Info), or [`UNTOLD`].
    pub(super) fn picture(
        &mut self,
        rtp: i64,
        since_play: i64,
        at: Instant,
    ) -> Result<Placed, Fault> {
        let pts = match self.video.place(rtp, since_play, self.started, at) {
            Ok(pts) => pts,
            Err(why) if self.jump == TimestampJumpPolicy::Rebase => {
                info!("the picture's clock jumped: {why}; going on from the time of arrival");
                self.camera.forget();
                self.video.rebase(rtp, self.started, at)
            }
            Err(why) => {
                return Err(Fault::new(
                    FaultKind::Protocol,
                    format!("the picture's clock is not to be trusted: {why}"),
                ));
            }
        };
        let (received, arrival) = self.stamp(at)?;
        self.newest_rtp = Some(rtp);
        Ok(Placed {
            pts,
            received,
            arrival,
            camera_clock: self.camera.at_picture(rtp, received),
        })
    }

    /// `None` when the sound's clock is not to be trusted; it is left out from then on.
    pub(super) fn sound(
        &mut self,
        rtp: i64,
        since_play: i64,
        at: Instant,
    ) -> Result<Option<(i64, UtcMicros, Arrival)>, Fault> {
        let pts = match self.audio.place(rtp, since_play, self.started, at) {
            Ok(pts) => pts,
            Err(why) if self.jump == TimestampJumpPolicy::Rebase => {
                info!("the sound's clock jumped: {why}; going on from the time of arrival");
                self.audio.rebase(rtp, self.started, at)
            }
            Err(why) => {
                warn!(
                    "the sound's clock is not to be trusted: {why}; leaving the sound out of this session"
                );
                return Ok(None);
            }
        };
        let (received, arrival) = self.stamp(at)?;
        Ok(Some((pts, received, arrival)))
    }

    /// RTCP of the picture's sender.
    pub(super) fn rtcp(&mut self, compound: &[u8]) {
        // Before the first picture there is nothing to relate a report to; the next comes within seconds.
        let (Some(report), Some(near)) = (rtcp::sender_report(compound), self.newest_rtp) else {
            return;
        };
        self.camera
            .report(report.ntp, report.rtp, near, self.clock.now());
    }

    /// Server time of something that came in at `at`.
    fn stamp(&mut self, at: Instant) -> Result<(UtcMicros, Arrival), Fault> {
        let wall = self.clock.now().minus(at.elapsed());
        let arrival = Arrival {
            steady: steady(at),
            wall,
        };
        let received = self.receive.stamp(wall, at).map_err(|seconds| {
            Fault::new(
                FaultKind::ClockStep,
                format!("this machine's clock was set back by {seconds:.0} s; a new session begins with the new time"),
            )
        })?;
        Ok((received, arrival))
    }
}
