-- Who is logged in to the pages: by a token, until it ends, or they leave, or have done nothing for a while.
CREATE TABLE web_sessions (
    -- sha256 of the cookie; the cookie itself is nowhere but in the browser.
    hash       bytea PRIMARY KEY,
    token_id   uuid NOT NULL REFERENCES tokens,
    -- What a form of theirs carries, so that no other site can send it for them.
    csrf       text NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX web_sessions_expired ON web_sessions (expires_at);
