//! What a check of the archive finds: a word for programs, a sentence for people, what to do, and whether it was mended.

use std::fmt;

use serde::Serialize;

use crate::model::{StreamKey, TimeRange};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A volume of the configuration, or that the index names, is not there.
    VolumeMissing,
    /// The index knows a file that is not there.
    FileMissing,
    /// A file of ours that the index does not know.
    FileUnknown,
    /// The file is in another folder than the index says.
    FileMoved,
    FileUnreadable,
    /// Shorter than what was made durable.
    FileShort,
    /// Whole fragments behind what the index has: a crash, or a sync that failed.
    FileLonger,
    /// Bytes behind the last whole fragment that are no fragment.
    TornTail,
    /// The head of the file does not tell what it is.
    HeadDamaged,
    /// Bytes in the middle that are no fragment, or a fragment whose hash is not right.
    Damaged,
    /// The row of a file says something else than the file.
    RowDiffers,
    /// The file's row was never closed.
    NotClosed,
    /// A fragment does not carry the hash of the one before.
    ChainBroken,
    /// Sequence numbers are missing and no tombstone says why.
    ChainHole,
    /// A hole that the list of gaps has as lost already.
    LossKnown,
    /// A sequence number stands in two files.
    SequenceTwice,
    /// Two recordings of one stream cover the same time.
    RecordingsOverlap,
    /// Time that is neither recorded nor in the list of gaps.
    GapMissing,
    /// A gap that is recorded, or told twice.
    GapOverlaps,
    /// Gaps that could not be written into the index yet.
    GapsWaiting,
    /// A file with a tombstone.
    DeletionUnfinished,
    /// A file without a whole head, set aside at a start.
    FileTorn,
    /// Not ours.
    FileForeign,
    /// Footage under a hold is lost.
    HeldMissing,
    /// Footage was deleted although a hold stood on it.
    HeldDeleted,
    /// A file could not be made durable.
    NotDurable,
}

impl FindingKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VolumeMissing => "volume_missing",
            Self::FileMissing => "file_missing",
            Self::FileUnknown => "file_unknown",
            Self::FileMoved => "file_moved",
            Self::FileUnreadable => "file_unreadable",
            Self::FileShort => "file_short",
            Self::FileLonger => "file_longer",
            Self::TornTail => "torn_tail",
            Self::HeadDamaged => "head_damaged",
            Self::Damaged => "damaged",
            Self::RowDiffers => "row_differs",
            Self::NotClosed => "not_closed",
            Self::ChainBroken => "chain_broken",
            Self::ChainHole => "chain_hole",
            Self::LossKnown => "loss_known",
            Self::SequenceTwice => "sequence_twice",
            Self::RecordingsOverlap => "recordings_overlap",
            Self::GapMissing => "gap_missing",
            Self::GapOverlaps => "gap_overlaps",
            Self::GapsWaiting => "gaps_waiting",
            Self::DeletionUnfinished => "deletion_unfinished",
            Self::FileTorn => "file_torn",
            Self::FileForeign => "file_foreign",
            Self::HeldMissing => "held_missing",
            Self::HeldDeleted => "held_deleted",
            Self::NotDurable => "not_durable",
        }
    }

    /// To be known, and not wrong: does not change the exit code.
    pub fn is_note(self) -> bool {
        matches!(self, Self::LossKnown | Self::FileTorn | Self::FileForeign)
    }

    /// What a person can do about it.
    fn advice(self) -> &'static str {
        match self {
            Self::VolumeMissing => {
                "mount its disk and check again; what lies on it was not looked at"
            }
            Self::FileMissing => {
                "look whether the right disk is mounted, or put the file back from a copy; --repair takes it out of the \
                 index and records the time as lost"
            }
            Self::FileUnknown | Self::FileLonger | Self::NotClosed => {
                "--repair takes it into the index; so does the next start of the daemon if it is new"
            }
            Self::FileMoved => "--repair tells the index where it is",
            Self::FileUnreadable => "look at the disk's health and at the file's owner and mode",
            Self::FileShort => {
                "look at the disk's health; put the file back from a copy, or --repair makes the index say what is left"
            }
            Self::TornTail => "--repair cuts it off; no picture is in it",
            Self::HeadDamaged => {
                "its pictures are found through the index; put the file back from a copy to play it by itself"
            }
            Self::Damaged => {
                "look at the disk's health; put the file back from a copy, or --repair makes the index say what is left"
            }
            Self::RowDiffers => "--repair writes the row as the file is",
            Self::ChainBroken => {
                "one of the two files was changed or exchanged after it was recorded: treat both as evidence of that, and \
                 compare them with copies"
            }
            Self::ChainHole => {
                "find the files (another disk, a backup) and put them back; --repair records the time as lost"
            }
            Self::LossKnown => "nothing: it is in the list of gaps",
            Self::SequenceTwice | Self::RecordingsOverlap => {
                "keep both files; one of them was put here from elsewhere, or recorded by a second daemon"
            }
            Self::GapMissing | Self::GapOverlaps | Self::GapsWaiting => {
                "--repair mends the list of gaps"
            }
            Self::DeletionUnfinished => {
                "--repair finishes the deletion, unless a hold stands on it"
            }
            Self::FileTorn => {
                "nothing; it can be deleted by hand when nobody wants to look into it"
            }
            Self::FileForeign => "move it elsewhere if it does not belong here; it is left alone",
            Self::HeldMissing | Self::HeldDeleted => {
                "tell whoever ordered the hold; put the footage back from a copy"
            }
            Self::NotDurable => "look at the disk's health and its free space",
        }
    }
}

/// One thing found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub kind: FindingKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// As the index names files: `@VOLUME/` before it when it is not in `[archive] dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Sequence number of the fragment it begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fragment: Option<i64>,
    /// Byte in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<TimeRange>,
    pub message: String,
    pub advice: &'static str,
    pub note: bool,
    pub repaired: bool,
}

impl Finding {
    pub(super) fn new(kind: FindingKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            stream: None,
            path: None,
            fragment: None,
            offset: None,
            range: None,
            message: message.into(),
            advice: kind.advice(),
            note: kind.is_note(),
            repaired: false,
        }
    }

    pub(super) fn of(mut self, stream: &StreamKey) -> Self {
        self.stream = Some(stream.to_string());
        self
    }

    pub(super) fn file(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    pub(super) fn fragment(mut self, seq: i64) -> Self {
        self.fragment = Some(seq);
        self
    }

    pub(super) fn offset(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    pub(super) fn range(mut self, range: TimeRange) -> Self {
        self.range = Some(range);
        self
    }

    pub(super) fn repaired(mut self, repaired: bool) -> Self {
        self.repaired = repaired;
        self
    }
}

/// One paragraph: what, where, then what to do or what was done.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.repaired, self.note) {
            (true, _) => "repaired",
            (false, true) => "note",
            (false, false) => "found",
        };
        write!(f, "{state}: {}: ", self.kind.as_str())?;
        if let Some(stream) = &self.stream {
            write!(f, "{stream}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(path) = &self.path {
            write!(f, "\n    file: {path}")?;
            if let Some(at) = self.offset {
                write!(f, " at byte {at}")?;
            }
        }
        if let Some(range) = &self.range {
            write!(f, "\n    time: {} to {}", range.from, range.to)?;
        }
        if !self.repaired {
            write!(f, "\n    to do: {}", self.advice)?;
        }
        Ok(())
    }
}

/// What was looked at, and how much was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FsckSummary {
    pub streams: u64,
    pub files: u64,
    pub fragments: u64,
    /// Read and hashed.
    pub bytes: u64,
    pub gaps: u64,
    pub found: u64,
    pub repaired: u64,
    pub notes: u64,
    /// Found and not repaired, without the notes: 0 is a sound archive.
    pub remaining: u64,
}

impl FsckSummary {
    pub(super) fn count(&mut self, finding: &Finding) {
        if finding.note {
            self.notes += 1;
            return;
        }
        self.found += 1;
        if finding.repaired {
            self.repaired += 1;
        } else {
            self.remaining += 1;
        }
    }
}
