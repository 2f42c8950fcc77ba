-- The third statement fails, on its second line.
UPDATE contact SET note = 'seen';

CREATE TABLE half_done (id integer);

INSERT INTO half_done
SELECT no_such_column FROM contact;
