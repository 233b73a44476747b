//! Every number the daemon gives away, with its name and what it means.

/// What a number can do (Prometheus' words).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations, sorted into buckets.
    Histogram,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $variant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        /// One number, or one for each value of its labels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Metric { $($(#[$doc])* #[doc = $help] $variant,)+ }

        impl Metric {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)+ }
            }

            /// The label names, in the order of [`Self::name`]'s documentation. All of them are bounded by the site or by a
            /// list in the code; nothing a stranger sends becomes a label.
            pub const fn labels(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($label),*],)+ }
            }

            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)+ }
            }
        }
    };
}

metrics! {
    VideoFrames = Counter "zhenbei_video_frames_total" ["camera", "stream"] "Pictures received.";
    VideoBytes = Counter "zhenbei_video_bytes_total" ["camera", "stream"] "Bytes of pictures and sound received.";
    VideoPacketsLost = Counter "zhenbei_video_packets_lost_total" ["camera", "stream"] "RTP packets missing in the sequence.";
    VideoReconnects = Counter "zhenbei_video_reconnects_total" ["camera", "stream", "cause"] "Sessions that ended and were tried again.";
    VideoStreams = Gauge "zhenbei_video_streams" ["state"] "Streams in each state.";
    VideoRingBytes = Gauge "zhenbei_video_ring_bytes" ["camera", "stream"] "Bytes held in the ring of a stream.";

    ArchiveFragments = Counter "zhenbei_archive_fragments_total" ["camera", "stream"] "Fragments written.";
    ArchiveBytes = Counter "zhenbei_archive_bytes_total" ["camera", "stream"] "Bytes of recordings written.";
    ArchiveDurableLag = Gauge "zhenbei_archive_durable_lag_seconds" ["camera", "stream"] "How far durable_until is behind now.";
    ArchiveDurableUntil = Gauge "zhenbei_archive_durable_until_seconds" ["camera", "stream"] "durable_until, in seconds since 1970: everything before it survives a power cut and is found.";
    ArchiveSuspect = Counter "zhenbei_archive_suspect_files_total" ["volume"] "Files whose newest part is suspect because a sync failed.";
    ArchiveAhead = Gauge "zhenbei_archive_clock_ahead_seconds" ["camera", "stream"] "How far recorded times are ahead of the server's clock, which was set back.";
    ArchiveGaps = Counter "zhenbei_archive_gaps_total" ["cause"] "Missing intervals.";
    ArchiveGapMillis = Counter "zhenbei_archive_gap_milliseconds_total" ["cause"] "Length of the missing intervals.";
    ArchiveQueueBytes = Gauge "zhenbei_archive_queue_bytes" ["volume"] "Bytes waiting for the disk.";
    ArchiveSync = Histogram "zhenbei_archive_sync_seconds" ["volume"] "Time to make written recordings durable.";
    ArchiveFreeBytes = Gauge "zhenbei_archive_free_bytes" ["volume"] "Bytes free on the disk of the archive.";
    ArchiveVolumeBytes = Gauge "zhenbei_archive_volume_bytes" ["volume"] "Bytes of recordings on a volume.";
    ArchiveHeldBytes = Gauge "zhenbei_archive_held_bytes" ["volume"] "Bytes of recordings that holds keep.";
    ArchiveVolumeState = Gauge "zhenbei_archive_volume_state" ["volume"] "0: works, 1: needs attention, 2: nothing can be recorded to it.";
    ArchiveRunwayHours = Gauge "zhenbei_archive_runway_hours" ["volume"] "Hours until a full volume makes old recordings go, at the measured rate.";
    ArchiveHoldsDays = Gauge "zhenbei_archive_holds_days" ["volume"] "Days of recordings a volume can hold at the measured rate.";
    ArchiveFloorShort = Gauge "zhenbei_archive_floor_short" ["volume"] "1 while a volume will not hold legal_floor_days.";
    ArchiveDeleted = Counter "zhenbei_archive_deleted_segments_total" ["cause"] "Recording files deleted by retention.";

    FleetReceived = Counter "zhenbei_fleet_messages_total" ["source"] "Messages received.";
    FleetAccepted = Counter "zhenbei_fleet_fixes_accepted_total" ["source"] "Positions committed.";
    FleetRejected = Counter "zhenbei_fleet_rejected_total" ["source", "reason"] "Messages that could not be used.";
    FleetCommit = Histogram "zhenbei_fleet_commit_seconds" [] "Time of one commit of positions.";
    FleetConnected = Gauge "zhenbei_fleet_source_connected" ["source"] "1 while a source is connected.";

    LiveViewers = Gauge "zhenbei_live_viewers" [] "Open walls.";
    LiveTiles = Gauge "zhenbei_live_tiles" [] "Tiles being sent.";
    LiveFramesDropped = Counter "zhenbei_live_frames_dropped_total" [] "Pictures a viewer was too slow for.";
    LiveListeners = Gauge "zhenbei_live_event_listeners" [] "Open event streams.";

    MediaTranscodes = Gauge "zhenbei_media_transcodes" [] "Transcodes running.";
    MediaFailures = Counter "zhenbei_media_worker_failures_total" ["job"] "Worker processes that ended badly or were ended.";
    MediaDerive = Histogram "zhenbei_media_derive_seconds" [] "Time to make one derived item.";
    MediaStill = Histogram "zhenbei_media_still_seconds" [] "Time to make one still picture.";

    HttpRequests = Counter "zhenbei_http_requests_total" ["method", "route", "status"] "Calls answered.";
    HttpSeconds = Histogram "zhenbei_http_request_seconds" ["route"] "Time to the head of the answer.";

    SignIns = Counter "zhenbei_access_sign_ins_total" ["outcome"] "Attempts to sign in.";
    AuditEntries = Counter "zhenbei_access_audit_entries_total" ["outcome"] "Entries closed in the audit log.";
    Exhibits = Counter "zhenbei_evidence_exhibits_total" ["kind", "outcome"] "Exhibits finished.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// <https://prometheus.io/docs/practices/naming/>, but milliseconds where whole numbers are counted.
    #[test]
    fn names_follow_the_habit() {
        let mut seen = HashSet::new();
        for m in Metric::ALL {
            let name = m.name();
            assert!(seen.insert(name), "{name} twice");
            assert!(name.starts_with("zhenbei_"), "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{name}"
            );
            assert_eq!(
                m.kind() == Kind::Counter,
                name.ends_with("_total"),
                "{name}"
            );
            assert!(
                m.kind() != Kind::Histogram || name.ends_with("_seconds"),
                "{name}"
            );
            assert!(m.help().ends_with('.'), "{name}");
        }
    }
}
