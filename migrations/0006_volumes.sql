-- Several disks. A path in the index begins with `@NAME/` for a file of the volume NAME; without that it lies in `[archive] dir`.
-- `volume` repeats the name, to ask by it.
ALTER TABLE archive_segments ADD COLUMN volume TEXT NOT NULL DEFAULT '';
-- Bytes of the file given back to the disk while the rest is held.
ALTER TABLE archive_segments ADD COLUMN freed BIGINT NOT NULL DEFAULT 0;
DROP INDEX archive_segments_oldest;
CREATE INDEX archive_segments_oldest ON archive_segments (volume, started, stream);

-- Which disk belongs to which name: `id` is what the file `archive.volume` on it must say. Another disk, or an empty mount
-- point, is never taken for it.
CREATE TABLE archive_volumes (
  name TEXT NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  since BIGINT NOT NULL
);

-- One row for each run of fragments that was deleted: a file that is held in part goes in parts.
CREATE TABLE archive_tombstones_by_run (
  segment TEXT NOT NULL,
  stream BIGINT NOT NULL,
  path TEXT NOT NULL,
  from_us BIGINT NOT NULL,
  to_us BIGINT NOT NULL,
  first_seq BIGINT NOT NULL,
  last_seq BIGINT NOT NULL,
  -- Head of the hash chain behind the deleted run: what the next fragment says of the one before.
  last_sha256 BYTEA NOT NULL,
  -- Where in the file.
  byte_from BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  deletion_rule TEXT NOT NULL,
  -- Who: `retention`, or the person who ordered it.
  actor TEXT NOT NULL,
  -- 1: the file stays for its other fragments.
  in_part BIGINT NOT NULL,
  deleted_at BIGINT NOT NULL,
  -- 0: the bytes are still to be given back to the disk.
  done BIGINT NOT NULL,
  PRIMARY KEY (segment, first_seq)
);
INSERT INTO archive_tombstones_by_run (segment, stream, path, from_us, to_us, first_seq, last_seq, last_sha256,
  byte_from, bytes, deletion_rule, actor, in_part, deleted_at, done)
  SELECT segment, stream, path, from_us, to_us, first_seq, last_seq, last_sha256, 0, bytes, deletion_rule, 'retention', 0,
    deleted_at, 1 FROM archive_tombstones;
DROP TABLE archive_tombstones;
ALTER TABLE archive_tombstones_by_run RENAME TO archive_tombstones;
CREATE INDEX archive_tombstones_undone ON archive_tombstones (done) WHERE done = 0;
CREATE INDEX archive_tombstones_stream ON archive_tombstones (stream, from_us);
