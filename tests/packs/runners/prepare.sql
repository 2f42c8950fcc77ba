CREATE TABLE seen_by_nobody (i integer);
