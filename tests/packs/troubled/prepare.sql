ALTER TABLE contact ADD COLUMN note text;
