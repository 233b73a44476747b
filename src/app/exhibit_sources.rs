//! Joins the evidence room to the rooms exhibits come from.

use async_trait::async_trait;
use futures_util::StreamExt as _;

use crate::archive::{Archive, ClipFragment};
use crate::evidence::{SourceClip, SourceStill, Sources};
use crate::fleet::Fleet;
use crate::media::{DeriveOrder, Derived, Media};
use crate::model::{
    Fix, FragmentClock, FragmentName, Result, StreamKey, TakenFragments, TimeRange, UtcMicros,
    VehicleId,
};

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
            fragments: fragments(clip.fragments()),
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

    async fn derive(&self, order: DeriveOrder) -> Result<Derived> {
        self.media.derive(order).await
    }

    async fn track(&self, vehicle: &VehicleId, range: TimeRange, limit: usize) -> Result<Vec<Fix>> {
        self.fleet.track(vehicle, range, limit).await
    }
}

fn fragments(all: &[ClipFragment]) -> Option<TakenFragments> {
    let name = |f: &ClipFragment| FragmentName {
        seq: f.seq,
        sha256: hex::encode(f.sha256),
    };
    Some(TakenFragments {
        count: u64::try_from(all.len()).unwrap_or(u64::MAX),
        first: name(all.first()?),
        last: name(all.last()?),
    })
}
