-- A test copy does nothing by itself and reaches nobody: no scheduled tasks, no queue, no mails, no shops, and no keys of
-- payment, shipping and tax services. Parties and their addresses stay as they are.
CREATE FUNCTION pg_temp.set_to(of text, field text, value text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_attribute
               WHERE attrelid = to_regclass(of) AND attname = field AND attnum > 0 AND NOT attisdropped)
    THEN
        EXECUTE format('UPDATE %s SET %I = %L WHERE %2$I IS NOT NULL', to_regclass(of), field, value);
    END IF;
END $$;

SELECT pg_temp.set_to('ir_cron', 'active', 'false');
DO $$
BEGIN
    IF to_regclass('ir_queue') IS NOT NULL THEN
        DELETE FROM ir_queue;
    END IF;
END $$;
SELECT pg_temp.set_to('notification_email', 'active', 'false');
SELECT pg_temp.set_to('marketing_automation_scenario', 'state', 'stopped');
SELECT pg_temp.set_to('web_shop', 'active', 'false');
SELECT pg_temp.set_to(service, field, 'neutralized')
FROM (VALUES
    ('account_payment_stripe_account', 'secret_key'), ('account_payment_stripe_account', 'publishable_key'),
    ('account_payment_stripe_account', 'webhook_signing_secret'), ('account_payment_stripe_account', 'webhook_identifier'),
    ('account_payment_braintree_account', 'private_key'), ('account_payment_braintree_account', 'public_key'),
    ('account_payment_braintree_account', 'webhook_identifier'),
    ('carrier_credential_ups', 'password'), ('carrier_credential_ups', 'license'),
    ('carrier_credential_ups', 'client_secret'), ('carrier_credential_dpd', 'password'),
    ('carrier_credential_mygls', 'password'), ('carrier_credential_sendcloud', 'private_key'),
    ('document_incoming_ocr_service', 'typless_api_key')) AS secret (service, field);
