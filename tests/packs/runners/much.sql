CREATE TABLE much AS SELECT md5(i::text) AS what FROM generate_series(1, 3000000) AS i;
