-- What the start looks for without reading a month of rows: files that were being written, and the newest deletions.
CREATE INDEX archive_segments_open ON archive_segments (stream, started) WHERE closed = 0;
CREATE INDEX archive_tombstones_newest ON archive_tombstones (deleted_at);
-- The bytes of each volume are added up at every start.
CREATE INDEX archive_segments_bytes ON archive_segments (volume, bytes, freed);
