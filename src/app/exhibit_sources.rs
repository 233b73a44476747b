//! Joins the evidence room to the rooms exhibits come from.

use async_trait::async_trait;
use futures_util::StreamExt as _;

use crate::archive::Archive;
use crate::evidence::{SourceClip, SourceStill, Sources};
use crate::fleet::Fleet;
use crate::media::Media;
use crate::model::{Fix, FragmentClock, Result, StreamKey, TimeRange, UtcMicros, VehicleId};

pub(super) struct RoomSources {
    pub(super) archive: Archive,
    pub(super) media: Media,
    pub(super) fleet: Fleet,
}

#[async_trait]
impl Sources for RoomSources {
    async fn clip(&self, stream: &StreamKey, range: TimeRange) -> Result<SourceClip> {
        let clip = self.archive.clip(stream, range).await?;
        let len = clip.len();
        Ok(SourceClip {
            len,
            etag: clip.etag().to_owned(),
            delivered: clip.delivered(),
            gaps: clip.gaps().to_vec(),
            bytes: clip.read(0..len).boxed(),
        })
    }

    async fn has_footage(&self, stream: &StreamKey, range: TimeRange) -> Result<()> {
        self.archive.has_footage(stream, range).await
    }

    async fn still(&self, stream: &StreamKey, at: UtcMicros) -> Result<Option<SourceStill>> {
        let Some(found) = self.archive.key_frame_at(stream, at).await? else {
            return Ok(None);
        };
        let jpeg = self.media.still(&found.params, found.data, None).await?;
        Ok(Some(SourceStill { jpeg, at: found.at }))
    }

    async fn clock(&self, stream: &StreamKey, range: TimeRange) -> Result<FragmentClock> {
        self.archive.clock_over(stream, range).await
    }

    async fn track(&self, vehicle: &VehicleId, range: TimeRange, limit: usize) -> Result<Vec<Fix>> {
        self.fleet.track(vehicle, range, limit).await
    }
}
