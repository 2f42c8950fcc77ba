CREATE INDEX CONCURRENTLY seen_what ON seen (what);
