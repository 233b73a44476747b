-- What of a camera's misbehaviour is borne: JSON of what differs from the defaults.
ALTER TABLE cameras ADD COLUMN policies TEXT NOT NULL DEFAULT '{}';

-- The camera's clock beside the server's, of each fragment: code (0: not kept), offset and uncertainty in microseconds.
ALTER TABLE archive_fragments ADD COLUMN clock_code BIGINT NOT NULL DEFAULT 0;
ALTER TABLE archive_fragments ADD COLUMN clock_offset_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE archive_fragments ADD COLUMN clock_uncertainty_us BIGINT NOT NULL DEFAULT 0;
-- How far the recording's time lies ahead of the server's clock: not zero after that clock was set back.
ALTER TABLE archive_fragments ADD COLUMN ahead_us BIGINT NOT NULL DEFAULT 0;
