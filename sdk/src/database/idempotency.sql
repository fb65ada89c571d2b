-- The answers to requests with an Idempotency-Key, for stagelink's Database::write_once.
CREATE TABLE stagelink_idempotency (
    -- The client that the key belongs to; empty where keys are not per client.
    owner text NOT NULL,
    key text NOT NULL,
    -- SHA-256 of the request, to recognise another request with the same key.
    fingerprint bytea NOT NULL,
    -- JSON. Null only while the first request is being answered.
    answer text,
    kept_until timestamptz NOT NULL DEFAULT now() + interval '24 hours',
    PRIMARY KEY (owner, key)
);
CREATE INDEX stagelink_idempotency_kept_until ON stagelink_idempotency (kept_until);
