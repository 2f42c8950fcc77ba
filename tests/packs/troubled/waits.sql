SELECT pg_sleep(300);
