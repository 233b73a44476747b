-- The index of the archive: a cache of what the segment files say, rebuilt from them when lost. Only durable data has rows.
--
-- A stream gets a small number, because it is repeated in every row below.
CREATE TABLE archive_streams (
  id BIGINT NOT NULL PRIMARY KEY,
  camera TEXT NOT NULL,
  role TEXT NOT NULL,
  -- Recording was switched off at this time and not on again.
  stopped_from BIGINT,
  UNIQUE (camera, role)
);

-- Stream parameters as text; thousands of segments share one.
CREATE TABLE archive_params (
  id BIGINT NOT NULL PRIMARY KEY,
  sha256 TEXT NOT NULL UNIQUE,
  content TEXT NOT NULL
);

-- One row a file. While it is written its fragments are rows of archive_fragments; when it is closed they are folded into
-- `fragments`, so that a month of many cameras is counted in files, not in pictures.
CREATE TABLE archive_segments (
  stream BIGINT NOT NULL,
  first_seq BIGINT NOT NULL,
  id TEXT NOT NULL UNIQUE,
  path TEXT NOT NULL,
  started BIGINT NOT NULL,
  ended BIGINT NOT NULL,
  init_len BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  params BIGINT NOT NULL,
  -- 1: its fragments follow each other without a hole from `started` to `ended`.
  whole BIGINT NOT NULL,
  closed BIGINT NOT NULL,
  fragments BYTEA,
  PRIMARY KEY (stream, first_seq)
);
CREATE INDEX archive_segments_started ON archive_segments (stream, started);
CREATE INDEX archive_segments_oldest ON archive_segments (started, stream);

CREATE TABLE archive_fragments (
  stream BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  first_seq BIGINT NOT NULL,
  from_us BIGINT NOT NULL,
  to_us BIGINT NOT NULL,
  byte_from BIGINT NOT NULL,
  byte_len BIGINT NOT NULL,
  sha256 BYTEA NOT NULL,
  is_key BIGINT NOT NULL,
  packets_lost BIGINT NOT NULL,
  samples BYTEA NOT NULL,
  PRIMARY KEY (stream, seq)
);
CREATE INDEX archive_fragments_segment ON archive_fragments (stream, first_seq);

-- Every missing interval.
CREATE TABLE archive_gaps (
  stream BIGINT NOT NULL,
  from_us BIGINT NOT NULL,
  to_us BIGINT NOT NULL,
  cause TEXT NOT NULL,
  PRIMARY KEY (stream, from_us, cause)
);
CREATE INDEX archive_gaps_to ON archive_gaps (stream, to_us);

-- What was deleted, by which rule. Written before the file goes, so that a crash in between cannot bring it back.
CREATE TABLE archive_tombstones (
  segment TEXT NOT NULL PRIMARY KEY,
  stream BIGINT NOT NULL,
  path TEXT NOT NULL,
  from_us BIGINT NOT NULL,
  to_us BIGINT NOT NULL,
  first_seq BIGINT NOT NULL,
  last_seq BIGINT NOT NULL,
  last_sha256 BYTEA NOT NULL,
  bytes BIGINT NOT NULL,
  deletion_rule TEXT NOT NULL,
  deleted_at BIGINT NOT NULL
);
CREATE INDEX archive_tombstones_stream ON archive_tombstones (stream, from_us);

-- Ranges that no retention rule may touch.
CREATE TABLE archive_holds (
  id TEXT NOT NULL PRIMARY KEY,
  camera TEXT NOT NULL,
  role TEXT NOT NULL,
  from_us BIGINT NOT NULL,
  to_us BIGINT NOT NULL,
  reason TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
