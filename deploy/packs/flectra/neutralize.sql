-- Makes a test copy of an Odoo database harmless: nothing in it writes to, charges, or logs in at anything outside,
-- it does not pass for the production database, and people see that it is a copy (from 16.0 on: earlier versions have
-- no banner). It names what 14.0 to 19.0 name, each where it is there, and may run twice.
--
-- A database holds only what its modules made, so every statement runs where its table and columns exist and is
-- passed over where they do not; anything else that goes wrong stops the run. Each statement that changed rows
-- leaves a notice with their number.
--
-- What needs changing was collected from the `data/neutralize.sql` files of Odoo's own modules (base, mail, sms,
-- iap, payment_*, delivery, website, account_edi_proxy_client, l10n_*, pos_*, *_calendar, auth_oauth and others),
-- from OCA's queue_job, and from the field definitions in the database itself. Further than Odoo goes: every
-- scheduled job is off (Odoo leaves its vacuum on), what waits in a queue is cancelled, tokens are forgotten (a
-- copy that refreshes a rotating token locks production out), and service addresses end in `.invalid`, which
-- RFC 2606 keeps from ever resolving.
--
-- Left as they are: logins and passwords, LDAP servers, printers and IoT boxes of points of sale, attachments on
-- foreign object stores, and whatever custom modules connect to. Keep a copy away from networks where these matter.

DO $neutralize$
DECLARE
    step     record;
    col      record;
    changed  bigint;
    -- Columns that hold a credential, by the ends of their names.
    secrets  CONSTANT text := '(^|_)(token|rtoken|access_token|refresh_token|auth_token|bearer_token|token_secret'
                              '|api_key|apikey|secret|secret_key|client_secret|webhook_secret|private_key'
                              '|app_secret|password|passwd|provider_data)$';
BEGIN
    -- ------------------------------------------------------------ statements: table, columns needed, statement
    FOR step IN SELECT * FROM (VALUES
        -- Outgoing mail. One unusable server stays active: without any, Odoo falls back to the one that its
        -- configuration file or command line names.
        ('ir_mail_server', '{active}',
         $s$ UPDATE ir_mail_server SET active = false WHERE active AND smtp_host IS DISTINCT FROM 'neutralized.invalid' $s$),
        ('ir_mail_server', '{name,smtp_host,smtp_port,smtp_encryption,smtp_authentication,sequence,active}',
         $s$ INSERT INTO ir_mail_server (name, smtp_host, smtp_port, smtp_encryption, smtp_authentication, sequence, active)
             SELECT 'Test copy: no mail leaves', 'neutralized.invalid', 25, 'none', 'login', 0, true
             WHERE NOT EXISTS (SELECT FROM ir_mail_server WHERE smtp_host = 'neutralized.invalid' AND active) $s$),
        ('mail_mail', '{state}', $s$ UPDATE mail_mail SET state = 'cancel' WHERE state = 'outgoing' $s$),
        ('mail_notification', '{notification_status,notification_type}',
         $s$ UPDATE mail_notification SET notification_status = 'canceled'
             WHERE notification_status IN ('ready', 'process') AND notification_type IN ('email', 'sms', 'snail') $s$),
        ('mail_message_schedule', '{id}', $s$ DELETE FROM mail_message_schedule $s$),
        ('digest_digest', '{state}', $s$ UPDATE digest_digest SET state = 'deactivated' WHERE state = 'activated' $s$),
        -- Incoming mail.
        ('fetchmail_server', '{active,state}',
         $s$ UPDATE fetchmail_server SET active = false, state = 'draft' WHERE active OR state <> 'draft' $s$),
        -- Browser push.
        ('mail_notification_web_push', '{id}', $s$ DELETE FROM mail_notification_web_push $s$),
        ('mail_partner_device', '{id}', $s$ DELETE FROM mail_partner_device $s$),
        ('mail_push', '{id}', $s$ DELETE FROM mail_push $s$),
        ('mail_push_device', '{id}', $s$ DELETE FROM mail_push_device $s$),
        -- Text messages, letters, WhatsApp, social media, marketing.
        ('sms_sms', '{state}', $s$ UPDATE sms_sms SET state = 'canceled' WHERE state IN ('outgoing', 'process') $s$),
        ('snailmail_letter', '{state}', $s$ UPDATE snailmail_letter SET state = 'canceled' WHERE state = 'pending' $s$),
        ('whatsapp_message', '{state}', $s$ UPDATE whatsapp_message SET state = 'cancel' WHERE state = 'outgoing' $s$),
        ('mailing_mailing', '{state}', $s$ UPDATE mailing_mailing SET state = 'draft' WHERE state IN ('in_queue', 'sending') $s$),
        ('mailing_trace', '{trace_status}',
         $s$ UPDATE mailing_trace SET trace_status = 'cancel' WHERE trace_status IN ('outgoing', 'process') $s$),
        ('marketing_campaign', '{state}', $s$ UPDATE marketing_campaign SET state = 'stopped' WHERE state = 'running' $s$),
        ('marketing_trace', '{state}', $s$ UPDATE marketing_trace SET state = 'canceled' WHERE state = 'scheduled' $s$),
        ('social_post', '{state}', $s$ UPDATE social_post SET state = 'draft' WHERE state IN ('scheduled', 'posting') $s$),
        ('social_live_post', '{state}', $s$ UPDATE social_live_post SET state = 'failed' WHERE state IN ('ready', 'posting') $s$),
        ('social_account', '{is_media_disconnected}',
         $s$ UPDATE social_account SET is_media_disconnected = true WHERE is_media_disconnected IS NOT TRUE $s$),
        -- Jobs. A queue_job runner works without any ir_cron.
        ('ir_cron', '{active}', $s$ UPDATE ir_cron SET active = false WHERE active $s$),
        ('queue_job', '{state}',
         $s$ UPDATE queue_job SET state = 'cancelled' WHERE state IN ('wait_dependencies', 'pending', 'enqueued', 'started') $s$),
        -- Webhooks, both ways.
        ('ir_act_server', '{state,webhook_url}',
         $s$ UPDATE ir_act_server SET webhook_url = 'https://neutralized.invalid'
             WHERE webhook_url IS NOT NULL AND webhook_url <> 'https://neutralized.invalid' $s$),
        ('base_automation', '{active,trigger}',
         $s$ UPDATE base_automation SET active = false WHERE active AND trigger = 'on_webhook' $s$),
        -- Payments. A provider in test mode stays so, without its credentials.
        ('payment_provider', '{state,is_published}',
         $s$ UPDATE payment_provider SET state = 'disabled', is_published = false WHERE state NOT IN ('test', 'disabled') $s$),
        -- Up to 15.0.
        ('payment_acquirer', '{state}', $s$ UPDATE payment_acquirer SET state = 'disabled' WHERE state NOT IN ('test', 'disabled') $s$),
        ('payment_provider', '{is_live}', $s$ UPDATE payment_provider SET is_live = false WHERE is_live $s$),
        ('payment_token', '{active}', $s$ UPDATE payment_token SET active = false WHERE active $s$),
        ('pos_payment_method', '{use_payment_terminal}',
         $s$ UPDATE pos_payment_method SET use_payment_terminal = NULL WHERE use_payment_terminal IS NOT NULL $s$),
        ('pos_payment_provider', '{mode}', $s$ UPDATE pos_payment_provider SET mode = 'test' WHERE mode = 'enabled' $s$),
        -- Bank synchronisation.
        ('account_online_link', '{auto_sync}', $s$ UPDATE account_online_link SET auto_sync = false WHERE auto_sync $s$),
        ('account_online_link', '{state}',
         $s$ UPDATE account_online_link SET state = 'disconnected' WHERE state <> 'disconnected' $s$),
        ('account_online_link', '{client_id}',
         $s$ UPDATE account_online_link SET client_id = 'neutralized' WHERE client_id <> 'neutralized' $s$),
        -- In-app purchases: the suffix is what Odoo's own neutralization adds, and its servers know it.
        ('iap_account', '{account_token}',
         $s$ UPDATE iap_account SET account_token = split_part(account_token, '+', 1) || '+disabled'
             WHERE account_token NOT LIKE '%+disabled' $s$),
        -- Carriers and marketplaces.
        ('amazon_account', '{active}', $s$ UPDATE amazon_account SET active = false WHERE active $s$),
        ('voip_provider', '{mode}', $s$ UPDATE voip_provider SET mode = 'demo' WHERE mode <> 'demo' $s$),
        -- Calendars and logins elsewhere.
        ('google_calendar_credentials', '{synchronization_stopped}',
         $s$ UPDATE google_calendar_credentials SET synchronization_stopped = true WHERE synchronization_stopped IS NOT TRUE $s$),
        ('microsoft_calendar_credentials', '{synchronization_stopped}',
         $s$ UPDATE microsoft_calendar_credentials SET synchronization_stopped = true WHERE synchronization_stopped IS NOT TRUE $s$),
        ('res_users_settings', '{google_synchronization_stopped}',
         $s$ UPDATE res_users_settings SET google_synchronization_stopped = true WHERE google_synchronization_stopped IS NOT TRUE $s$),
        ('res_users_settings', '{microsoft_synchronization_stopped}',
         $s$ UPDATE res_users_settings SET microsoft_synchronization_stopped = true WHERE microsoft_synchronization_stopped IS NOT TRUE $s$),
        ('auth_oauth_provider', '{enabled}', $s$ UPDATE auth_oauth_provider SET enabled = false WHERE enabled $s$),
        -- Electronic invoicing. Flags named after a test or production environment follow further down. A proxy
        -- user is put aside, not switched to test: a company may have one of each already.
        ('account_edi_proxy_client_user', '{active}', $s$ UPDATE account_edi_proxy_client_user SET active = false WHERE active $s$),
        ('res_company', '{l10n_it_edi_register}', $s$ UPDATE res_company SET l10n_it_edi_register = false WHERE l10n_it_edi_register $s$),
        ('res_company', '{l10n_sa_api_mode}', $s$ UPDATE res_company SET l10n_sa_api_mode = 'sandbox' WHERE l10n_sa_api_mode <> 'sandbox' $s$),
        ('res_company', '{l10n_hu_edi_server_mode}',
         $s$ UPDATE res_company SET l10n_hu_edi_server_mode = 'test' WHERE l10n_hu_edi_server_mode = 'production' $s$),
        ('res_company', '{l10n_my_edi_mode}', $s$ UPDATE res_company SET l10n_my_edi_mode = 'test' WHERE l10n_my_edi_mode = 'prod' $s$),
        ('res_company', '{l10n_ar_afip_ws_environment}',
         $s$ UPDATE res_company SET l10n_ar_afip_ws_environment = 'testing' WHERE l10n_ar_afip_ws_environment = 'production' $s$),
        ('res_company', '{l10n_cl_dte_service_provider}',
         $s$ UPDATE res_company SET l10n_cl_dte_service_provider = 'SIITEST' WHERE l10n_cl_dte_service_provider = 'SII' $s$),
        ('res_company', '{l10n_in_edi_username}', $s$ UPDATE res_company SET l10n_in_edi_username = NULL WHERE l10n_in_edi_username IS NOT NULL $s$),
        ('res_company', '{l10n_in_edi_ewaybill_username}',
         $s$ UPDATE res_company SET l10n_in_edi_ewaybill_username = NULL WHERE l10n_in_edi_ewaybill_username IS NOT NULL $s$),
        ('res_company', '{avalara_environment}', $s$ UPDATE res_company SET avalara_environment = 'sandbox' WHERE avalara_environment <> 'sandbox' $s$),
        ('res_company', '{avalara_commit}', $s$ UPDATE res_company SET avalara_commit = false WHERE avalara_commit $s$),
        -- Pads of Etherpad, up to 15.0.
        ('res_company', '{pad_server,pad_key}',
         $s$ UPDATE res_company SET pad_server = NULL, pad_key = NULL WHERE num_nonnulls(pad_server, pad_key) > 0 $s$),
        -- The web site: not the customer's address, not found by search engines, not counted among its visitors.
        ('website', '{domain}', $s$ UPDATE website SET domain = NULL WHERE domain IS NOT NULL $s$),
        ('website', '{cdn_activated}', $s$ UPDATE website SET cdn_activated = false WHERE cdn_activated $s$),
        ('website', '{robots_txt}',
         $s$ UPDATE website SET robots_txt = E'User-agent: *\nDisallow: /'
             WHERE robots_txt IS DISTINCT FROM E'User-agent: *\nDisallow: /' $s$),
        ('website', '{google_analytics_key}', $s$ UPDATE website SET google_analytics_key = NULL WHERE google_analytics_key IS NOT NULL $s$),
        ('website', '{google_management_client_id,google_management_client_secret}', -- up to 15.0
         $s$ UPDATE website SET google_management_client_id = NULL, google_management_client_secret = NULL
             WHERE num_nonnulls(google_management_client_id, google_management_client_secret) > 0 $s$),
        ('website', '{plausible_shared_key}', $s$ UPDATE website SET plausible_shared_key = NULL WHERE plausible_shared_key IS NOT NULL $s$),
        ('website', '{firebase_enable_push_notifications,firebase_use_own_account}',
         $s$ UPDATE website SET firebase_enable_push_notifications = false, firebase_use_own_account = false
             WHERE firebase_enable_push_notifications OR firebase_use_own_account $s$),
        -- What people see: the banner of the back end, the ribbon of the web site.
        ('ir_ui_view', '{key,active}',
         $s$ UPDATE ir_ui_view SET active = true
             WHERE key IN ('web.neutralize_banner', 'website.neutralize_ribbon') AND active IS NOT TRUE $s$),
        -- Settings that would reach a service or point at production. Without the freeze, Odoo learns its own
        -- address when an administrator logs in.
        ('ir_config_parameter', '{key}',
         $s$ DELETE FROM ir_config_parameter WHERE key IN (
                 'web.base.url.freeze', 'mass_mailing.outgoing_mail_server', 'mass_mailing.mail_server_id',
                 'mail.web_push_vapid_private_key', 'mail.web_push_vapid_public_key',
                 'mail.use_twilio_rtc_servers', 'mail.twilio_account_sid', 'mail.twilio_account_token',
                 'mail.use_sfu_server', 'mail.sfu_server_url', 'mail.sfu_server_key', 'mail.google_translate_api_key',
                 'google_calendar_client_id', 'google_calendar_client_secret',
                 'microsoft_calendar_client_id', 'microsoft_calendar_client_secret',
                 'google_drive_authorization_code', 'google_drive_refresh_token', 'google_drive_client_id',
                 'google_drive_client_secret', 'google_gmail_client_id', 'google_gmail_client_secret',
                 'microsoft_outlook_client_id', 'microsoft_outlook_client_secret',
                 'recaptcha_public_key', 'recaptcha_private_key', 'cf.turnstile_site_key', 'cf.turnstile_secret_key',
                 'odoo_ocn.project_id', 'ocn.uuid', 'web_map.token_map_box') $s$),
        ('ir_config_parameter', '{key,value}',
         $s$ UPDATE ir_config_parameter SET value = 'demo'
             WHERE key IN ('account_peppol.edi.mode', 'voip.mode') AND value <> 'demo' $s$),
        ('ir_config_parameter', '{key,value}',
         $s$ INSERT INTO ir_config_parameter (key, value)
             SELECT key, 'https://neutralized.invalid'
             FROM unnest(ARRAY['iap.endpoint', 'sms.endpoint', 'snailmail.endpoint', 'enrich.endpoint', 'reveal.endpoint',
                               'iap.partner_autocomplete.endpoint', 'iap_extract_endpoint']) AS key
             ON CONFLICT (key) DO UPDATE SET value = excluded.value $s$),
        -- Who this database is. The uuid and the secret are new on each run: no two copies share them.
        ('ir_config_parameter', '{key,value}',
         $s$ INSERT INTO ir_config_parameter (key, value)
             VALUES ('database.is_neutralized', 'true'), ('web.base.url', 'http://localhost:8069'),
                    ('database.uuid', gen_random_uuid()::text), ('database.secret', gen_random_uuid()::text)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value $s$)
    ) AS steps (tbl, needs, statement)
    LOOP
        CONTINUE WHEN (SELECT count(*)
                       FROM pg_attribute a
                       JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
                       WHERE a.attrelid = to_regclass('public.' || step.tbl) AND NOT a.attisdropped
                         AND a.attname = ANY (step.needs::text[])) < cardinality(step.needs::text[]);
        EXECUTE step.statement;
        GET DIAGNOSTICS changed = ROW_COUNT;
        IF changed > 0 THEN
            RAISE NOTICE 'neutralized: % rows of %', changed, step.tbl;
        END IF;
    END LOOP;

    -- ------------------------------------------------------------ columns, found by their names
    FOR col IN
        SELECT c.relname AS tbl, a.attname AS name, a.attnotnull AS required,
               CASE
                   WHEN f.confrelid IS NOT NULL THEN 'NULL'
                   WHEN a.atttypid = 'boolean'::regtype THEN
                       (a.attname ~ '(^|_)test_?(env|environment|mode)$|(^|_)sandbox(_mode)?$')::text
                   ELSE NULL
               END AS flag
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        -- A template or a mailing that names its mail server uses it even where that server is inactive.
        LEFT JOIN pg_constraint f ON f.conrelid = c.oid AND f.contype = 'f' AND f.conkey = ARRAY[a.attnum]
                                 AND f.confrelid = to_regclass('public.ir_mail_server')
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND (
              (f.confrelid IS NOT NULL AND NOT a.attnotnull)
              -- Flags that choose between a test and a production environment.
              OR (a.atttypid = 'boolean'::regtype
                  AND c.relname IN ('res_company', 'account_journal', 'pos_payment_method', 'delivery_carrier',
                                    'payment_provider', 'payment_acquirer')
                  AND a.attname ~ '(^|_)test_?(env|environment|mode)$|(^|_)sandbox(_mode)?$|(^|_)prod(uction)?_(env|environment|mode)$')
              -- Credentials, in tables that hold connections.
              OR (a.atttypid IN ('varchar'::regtype, 'text'::regtype, 'bytea'::regtype)
                  AND (
                      (c.relname IN ('res_company', 'pos_payment_method', 'delivery_carrier', 'payment_provider',
                                     'payment_acquirer', 'account_online_link', 'account_edi_proxy_client_user', 'social_account',
                                     'social_media', 'whatsapp_account', 'amazon_account', 'voip_provider',
                                     'google_calendar_credentials', 'microsoft_calendar_credentials',
                                     'calendar_provider_config', 'mail_ice_server')
                       AND a.attname ~ secrets)
                      OR (c.relname IN ('ir_mail_server', 'fetchmail_server')
                          AND a.attname ~ '^(google_gmail|microsoft_outlook)_(access_token|refresh_token|authorization_code)$')
                      OR (c.relname IN ('res_users', 'res_users_settings')
                          AND a.attname ~ '^((google|microsoft)_calendar_(r?token|sync_token)|oauth_access_token)$')
                      OR (c.relname = 'website' AND a.attname ~ '^firebase_.*(key|id)$')
                      OR (c.relname = 'mail_ice_server' AND a.attname = 'credential')))
              -- A payment provider's columns begin with its code; those of the wire transfer are no credentials.
              OR (c.relname IN ('payment_provider', 'payment_acquirer') AND a.atttypid IN ('varchar'::regtype, 'text'::regtype)
                  AND a.attname <> 'custom_mode'
                  AND split_part(a.attname, '_', 1) IN (
                      'adyen', 'aps', 'asiapay', 'authorize', 'buckaroo', 'flutterwave', 'mercado', 'mollie', 'ogone',
                      'paypal', 'payulatam', 'payumoney', 'razorpay', 'sips', 'stripe', 'xendit', 'worldline', 'nuvei',
                      'alipay', 'ingenico'))
          )
        ORDER BY c.relname, a.attnum
    LOOP
        IF col.flag IS NOT NULL THEN
            EXECUTE format('UPDATE %I SET %I = %s WHERE %I IS DISTINCT FROM %s', col.tbl, col.name, col.flag, col.name, col.flag);
        ELSIF col.required THEN
            EXECUTE format('UPDATE %I SET %I = '''' WHERE %I <> ''''', col.tbl, col.name, col.name);
        ELSE
            EXECUTE format('UPDATE %I SET %I = NULL WHERE %I IS NOT NULL', col.tbl, col.name, col.name);
        END IF;
        GET DIAGNOSTICS changed = ROW_COUNT;
        IF changed > 0 THEN
            RAISE NOTICE 'neutralized: % rows of %, column %', changed, col.tbl, col.name;
        END IF;
    END LOOP;
END;
$neutralize$;
