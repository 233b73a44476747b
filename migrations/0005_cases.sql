-- Case files (案卷) and their exhibits.
CREATE TABLE case_numbers (
  -- Local day of opening, YYYYMMDD.
  day TEXT NOT NULL PRIMARY KEY,
  last BIGINT NOT NULL
);

CREATE TABLE cases (
  id TEXT NOT NULL PRIMARY KEY,
  no TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL,
  description TEXT NOT NULL,
  category TEXT NOT NULL,
  state TEXT NOT NULL,
  source TEXT NOT NULL,
  occurred_from BIGINT NOT NULL,
  occurred_to BIGINT,
  lon DOUBLE PRECISION NOT NULL,
  lat DOUBLE PRECISION NOT NULL,
  address TEXT NOT NULL,
  area TEXT,
  opened_by TEXT NOT NULL,
  opened_at BIGINT NOT NULL,
  filed_by TEXT,
  closed_by TEXT,
  closed_at BIGINT,
  revision BIGINT NOT NULL
);
CREATE INDEX cases_by_age ON cases (opened_at, id);
CREATE INDEX cases_by_state ON cases (state, opened_at, id);

-- Only ever added to.
CREATE TABLE case_events (
  case_id TEXT NOT NULL REFERENCES cases (id),
  seq BIGINT NOT NULL,
  time BIGINT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (case_id, seq)
);

CREATE TABLE exhibits (
  id TEXT NOT NULL PRIMARY KEY,
  case_id TEXT NOT NULL REFERENCES cases (id),
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  error TEXT,
  camera TEXT,
  stream TEXT,
  vehicle TEXT,
  requested_from BIGINT NOT NULL,
  requested_to BIGINT NOT NULL,
  delivered_from BIGINT,
  delivered_to BIGINT,
  -- JSON array of [from, to, cause].
  gaps TEXT NOT NULL,
  purpose TEXT NOT NULL,
  created_by TEXT NOT NULL,
  -- The role the person had then; roles change.
  created_role TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  -- The audit entry of the request.
  audit_seq BIGINT NOT NULL
);
CREATE INDEX exhibits_by_case ON exhibits (case_id, created_at);
CREATE INDEX exhibits_by_state ON exhibits (state, created_at);

CREATE TABLE exhibit_files (
  exhibit_id TEXT NOT NULL REFERENCES exhibits (id),
  position BIGINT NOT NULL,
  name TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  sha256 TEXT NOT NULL,
  -- For the ZIP directory of the bundle (ISO-HDLC CRC-32).
  crc32 BIGINT NOT NULL,
  media_type TEXT NOT NULL,
  derived_from TEXT,
  recipe TEXT,
  PRIMARY KEY (exhibit_id, name)
);
