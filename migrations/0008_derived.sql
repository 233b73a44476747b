-- Exhibits made of exhibits, and which fragments of the archive a clip was taken from.
ALTER TABLE exhibits ADD COLUMN derived_from TEXT REFERENCES exhibits (id);
-- JSON object: name, version, parameters; once it is made also encoder, settings and what was copied and encoded.
ALTER TABLE exhibits ADD COLUMN recipe TEXT;
-- JSON object: number, first and last fragment with their hashes.
ALTER TABLE exhibits ADD COLUMN fragments TEXT;
