-- People, what they sign in with, and the record of what they did.
CREATE TABLE users (
  id TEXT NOT NULL PRIMARY KEY,
  -- Sign-in name, lower case. Never changed and never used twice: the audit log and case files name people by it.
  name TEXT NOT NULL UNIQUE,
  display_name TEXT NOT NULL,
  role TEXT NOT NULL,
  -- PHC string (argon2id).
  password TEXT NOT NULL,
  disabled BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  password_changed_at BIGINT NOT NULL
);

CREATE TABLE sessions (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id),
  -- SHA-256 of the cookie, hex: whoever reads the database cannot sign in with it.
  secret_sha256 TEXT NOT NULL UNIQUE,
  client TEXT,
  created_at BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id, created_at);

CREATE TABLE tokens (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id),
  name TEXT NOT NULL,
  secret_sha256 TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  last_used BIGINT,
  expires_at BIGINT,
  revoked_at BIGINT
);
CREATE INDEX tokens_by_user ON tokens (user_id, created_at);

-- Counts audit entries; its row lock is what makes `seq` gapless on both engines.
CREATE TABLE audit_head (
  id BIGINT NOT NULL PRIMARY KEY,
  seq BIGINT NOT NULL
);
INSERT INTO audit_head (id, seq) VALUES (1, 0);

-- Opened before the act, closed after it; only the closing columns ever change, and only once.
CREATE TABLE audit (
  seq BIGINT NOT NULL PRIMARY KEY,
  time BIGINT NOT NULL,
  actor TEXT NOT NULL,
  user_id TEXT,
  role TEXT NOT NULL,
  axis TEXT NOT NULL,
  session TEXT,
  client TEXT,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  purpose TEXT NOT NULL,
  outcome TEXT NOT NULL,
  detail TEXT,
  closed_at BIGINT,
  -- Filled by the hash chain of the custody log; an entry from before it has none.
  prev_hash TEXT,
  entry_hash TEXT
);
CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_action ON audit (action, seq);

CREATE TABLE layouts (
  id TEXT NOT NULL PRIMARY KEY,
  owner TEXT NOT NULL REFERENCES users (id),
  name TEXT NOT NULL,
  tiles BIGINT NOT NULL,
  -- JSON array of camera ids and nulls, one for each tile.
  cameras TEXT NOT NULL,
  shared BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX layouts_by_owner ON layouts (owner, name);
