//! A cheap second look at files that were looked up before: has anything of them gone since?

use std::collections::HashMap;

use sqlx::Row;

use super::SegmentRow;
use crate::model::{Result, SegmentId, StreamKey, TimeRange, UtcMicros};
use crate::store::database::{Database, database_error};

/// What tells that a row still describes the same fragments, without reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentMark {
    pub first_seq: i64,
    pub started: UtcMicros,
    pub ended: UtcMicros,
    /// Not any more when fragments in its middle were deleted.
    pub whole: bool,
    /// Bytes given back to the disk: more of them when another run was deleted.
    pub freed: u64,
}

impl SegmentMark {
    /// A file being written may have grown since.
    pub fn is_of(&self, row: &SegmentRow) -> bool {
        self.first_seq == row.first_seq
            && self.whole == row.whole
            && self.freed == row.freed
            && self.started == row.segment.started
            && (self.ended == row.ended || (!row.closed && self.ended > row.ended))
    }
}

impl Database {
    /// The marks of the files that begin within the range.
    pub async fn archive_marks(
        &self,
        stream: &StreamKey,
        range: TimeRange,
    ) -> Result<HashMap<SegmentId, SegmentMark>> {
        let doing = "look up recordings again";
        let rows = sqlx::query(
            "SELECT s.id, s.first_seq, s.started, s.ended, s.whole, s.freed FROM archive_streams t \
             JOIN archive_segments s ON s.stream = t.id \
             WHERE t.camera = $1 AND t.role = $2 AND s.started >= $3 AND s.started < $4",
        )
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(range.from.micros())
        .bind(range.to.micros())
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error(doing, e))?;
        let mut marks = HashMap::with_capacity(rows.len());
        for row in &rows {
            let read = || -> sqlx::Result<(String, SegmentMark)> {
                Ok((
                    row.try_get("id")?,
                    SegmentMark {
                        first_seq: row.try_get("first_seq")?,
                        started: UtcMicros(row.try_get("started")?),
                        ended: UtcMicros(row.try_get("ended")?),
                        whole: row.try_get::<i64, _>("whole")? != 0,
                        freed: u64::try_from(row.try_get::<i64, _>("freed")?).unwrap_or(0),
                    },
                ))
            };
            let (id, mark) = read().map_err(|e| database_error(doing, e))?;
            marks.insert(SegmentId::parse(&id)?, mark);
        }
        Ok(marks)
    }
}
