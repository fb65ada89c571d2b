-- The entries of the guestbook. The limits are those that the function checks.
CREATE TABLE guestbook (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 80),
    message text NOT NULL CHECK (char_length(message) BETWEEN 1 AND 1000),
    created_at timestamptz NOT NULL DEFAULT now()
);
