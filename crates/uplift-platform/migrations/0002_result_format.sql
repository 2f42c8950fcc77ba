-- What the customer wants the result packed as; empty: as the dump that came in.
ALTER TABLE requests ADD COLUMN result_format text
    CHECK (result_format IN ('plain', 'gzip', 'zstd', 'xz', 'custom', 'zip'));
