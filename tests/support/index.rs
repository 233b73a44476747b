//! Index rows in bulk: a month of many cameras without recording it.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use zhenbei::model::{SegmentId, TimeRange, UtcMicros};
use zhenbei::store::database::{SegmentPart, folded};

/// The same file at another time, as another row.
pub fn moved(part: &SegmentPart, by: i64, seqs: i64) -> SegmentPart {
    let shift = |r: TimeRange| TimeRange {
        from: r.from + by,
        to: r.to + by,
    };
    let mut part = part.clone();
    let id = SegmentId::generate();
    part.row.segment.id = id;
    part.row.segment.started = part.row.segment.started + by;
    part.row.ended = part.row.ended + by;
    part.row.first_seq += seqs;
    part.row.closed = true;
    for f in &mut part.fragments {
        f.fragment.segment = id;
        f.fragment.seq += seqs;
        f.fragment.range = shift(f.fragment.range);
    }
    part
}

/// Puts closed files into a SQLite index, next to the database's own way: hundreds of times as fast. Stream and parameters must be
/// known already and are those of the first stream and the first parameters.
pub async fn insert(index: &Path, parts: impl Iterator<Item = SegmentPart>) {
    let options = SqliteConnectOptions::new().filename(index);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap();
    let mut tx = pool.begin().await.unwrap();
    for part in parts {
        let row = &part.row;
        sqlx::query(
            "INSERT INTO archive_segments (stream, first_seq, id, path, started, ended, init_len, bytes, params, whole, closed, \
             volume, fragments) VALUES (1, $1, $2, $3, $4, $5, $6, $7, 1, 1, 1, '', $8)",
        )
        .bind(row.first_seq)
        .bind(row.segment.id.to_string())
        .bind(row.segment.path.as_str())
        .bind(row.segment.started.micros())
        .bind(UtcMicros::micros(row.ended))
        .bind(i64::from(row.segment.init_len))
        .bind(i64::try_from(row.bytes).unwrap())
        .bind(folded(&part.fragments))
        .execute(&mut *tx)
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
    pool.close().await;
}
