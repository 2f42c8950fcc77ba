DO $$
BEGIN
    FOR line IN 1 .. 1200 LOOP
        RAISE NOTICE 'line % of 1200: grüße, 你好', line;
        IF line % 100 = 0 THEN
            PERFORM pg_sleep(0.3);
        END IF;
    END LOOP;
END
$$;
