-- What requests with an Idempotency-Key were answered, for stagelink's Link::once.
CREATE TABLE stagelink_idempotency (
    -- Whose key it is; empty where keys belong to nobody in particular.
    owner text NOT NULL,
    key text NOT NULL,
    -- SHA-256 of the request, to tell another one with the same key.
    fingerprint bytea NOT NULL,
    -- As JSON. Null only while the request is being answered for the first time.
    answer text,
    kept_until timestamptz NOT NULL DEFAULT now() + interval '24 hours',
    PRIMARY KEY (owner, key)
);
CREATE INDEX stagelink_idempotency_kept_until ON stagelink_idempotency (kept_until);
