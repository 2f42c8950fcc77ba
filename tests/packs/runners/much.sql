CREATE TABLE much AS SELECT md5(i::text) AS what FROM generate_series(1, 5000000) AS i;
