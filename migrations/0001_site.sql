-- The site as `apply` and the console describe it. `site_revision` counts changes, so that every node notices them.
CREATE TABLE site_revision (
  id BIGINT NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL
);
INSERT INTO site_revision (id, revision) VALUES (1, 1);

CREATE TABLE cameras (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  lon DOUBLE PRECISION NOT NULL,
  lat DOUBLE PRECISION NOT NULL,
  area TEXT NOT NULL,
  heading_deg DOUBLE PRECISION,
  fov_deg DOUBLE PRECISION,
  main_url TEXT NOT NULL,
  sub_url TEXT,
  transport TEXT NOT NULL,
  record BIGINT NOT NULL
);

CREATE TABLE vehicles (
  id TEXT NOT NULL PRIMARY KEY,
  plate TEXT,
  class TEXT NOT NULL
);
