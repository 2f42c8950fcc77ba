-- What Tryton's documentation wants done before an update to 7.0, of 6.2 to 7.0 (doc/migration.rst).
DO $$
BEGIN
    -- 7.0: a payment that clears a line has its account from there.
    IF EXISTS (SELECT FROM ir_module WHERE name = 'account_payment_clearing' AND state = 'activated')
       AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('account_payment') AND attname = 'account')
    THEN
        UPDATE account_payment SET account = NULL WHERE line IS NOT NULL AND account IS NOT NULL;
    END IF;
END $$;
