UPDATE contact SET name = name;
COMMIT;
