-- Track history: one row for each position. Names of vehicles and sources are numbered once, so that a row holds small integers;
-- SQLite stores an integer in as many bytes as it needs.
CREATE TABLE fix_numbers (
  id BIGINT NOT NULL PRIMARY KEY,
  last BIGINT NOT NULL
);
-- 1 numbers vehicles, 2 numbers sources.
INSERT INTO fix_numbers (id, last) VALUES (1, 0), (2, 0);

CREATE TABLE fix_vehicles (
  no BIGINT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);

CREATE TABLE fix_sources (
  no BIGINT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);

-- `time` is the device's clock in microseconds, `delay` is receive time minus it. `lon` and `lat` in 1e-7 degree, `speed` in
-- 0.01 km/h, `course` in 0.1 degree, `altitude` in 0.1 m. `content` is a hash of what the device said: the same vehicle, time and
-- content a second time is a repeat, and is not stored again.
CREATE TABLE fixes (
  vehicle_no BIGINT NOT NULL,
  time BIGINT NOT NULL,
  content BIGINT NOT NULL,
  delay BIGINT NOT NULL,
  lon BIGINT NOT NULL,
  lat BIGINT NOT NULL,
  speed BIGINT,
  course BIGINT,
  altitude BIGINT,
  ignition BIGINT,
  flags BIGINT NOT NULL,
  source_no BIGINT NOT NULL,
  PRIMARY KEY (vehicle_no, time, content)
);
