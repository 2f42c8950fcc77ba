-- Where an account wants to hear of its requests.
CREATE TABLE webhooks (
    id            uuid PRIMARY KEY,
    account_id    uuid NOT NULL REFERENCES accounts,
    url           text NOT NULL,
    -- What signs: `whsec_` and base64. It has to be read back, so it is no hash.
    secret        text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    created_by    text NOT NULL,
    disabled_at   timestamptz,
    disabled_why  text,
    removed_at    timestamptz
);

CREATE INDEX webhooks_of_account ON webhooks (account_id) WHERE removed_at IS NULL;

-- Who else is to hear of a request, by mail.
ALTER TABLE requests ADD COLUMN notify_email text;

-- What is to be told to customers, once for each of their ways. It is written in the transaction of what it tells of, and stays
-- as the log of what was told.
CREATE TABLE notifications (
    -- Told again, it has the same, so that the other side can tell.
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    request_id   uuid NOT NULL REFERENCES requests,
    -- Such as `request.delivered`.
    topic        text NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    webhook_id   uuid REFERENCES webhooks,
    email        text,
    attempts     integer NOT NULL DEFAULT 0,
    -- When it is tried next; nothing where it is over.
    next_at      timestamptz DEFAULT now(),
    delivered_at timestamptz,
    -- What the other side, or the way to it, has said last.
    said         text,
    CHECK ((webhook_id IS NULL) <> (email IS NULL)),
    CHECK (delivered_at IS NULL OR next_at IS NULL)
);

CREATE INDEX notifications_due ON notifications (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX notifications_of_webhook ON notifications (webhook_id, at) WHERE webhook_id IS NOT NULL;
CREATE INDEX notifications_of_request ON notifications (request_id);
