//! The commonest migrations of a web application, on a table with the usual trigger.

use super::{Case, before, unknown};

const INSERT: &str = "INSERT INTO t (id, a) VALUES (2, 'y'); UPDATE t SET a = 'z' WHERE id = 1";

pub(super) const CASES: &[Case] = &[
    before("", "ALTER TABLE t ADD COLUMN c text", INSERT),
    before(
        "",
        "ALTER TABLE t ADD COLUMN c boolean NOT NULL DEFAULT false",
        INSERT,
    ),
    before(
        "",
        "ALTER TABLE t ADD COLUMN c timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc')",
        INSERT,
    ),
    before(
        "",
        "ALTER TABLE t ADD COLUMN c int REFERENCES t (id)",
        INSERT,
    ),
    before(
        "",
        "CREATE TABLE n (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t_id int NOT NULL REFERENCES t, \
         created_at timestamptz NOT NULL DEFAULT now()); CREATE INDEX ON n (t_id)",
        INSERT,
    ),
    before("", "CREATE INDEX CONCURRENTLY t_a ON t (a)", INSERT),
    before(
        "ALTER TABLE t ADD c int;",
        "ALTER TABLE t ALTER COLUMN c SET DEFAULT 5",
        INSERT,
    ),
    before(
        "ALTER TABLE t ADD c int; ALTER TABLE t ADD CONSTRAINT k CHECK (c > 0) NOT VALID;",
        "ALTER TABLE t VALIDATE CONSTRAINT k",
        INSERT,
    ),
    before(
        "CREATE TYPE mood AS ENUM ('ok');",
        "ALTER TYPE mood ADD VALUE 'bad'",
        INSERT,
    ),
    before("", "CREATE VIEW v AS SELECT id, a FROM t", INSERT),
    before("", "CREATE VIEW v AS SELECT * FROM t", INSERT),
    before(
        "",
        "CREATE FUNCTION touch_n() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at := now(); RETURN NEW; END $$; \
         CREATE TABLE n (id int, at timestamptz); \
         CREATE TRIGGER touch BEFORE UPDATE ON n FOR EACH ROW EXECUTE FUNCTION touch_n()",
        INSERT,
    ),
    before(
        "",
        "ALTER TABLE t ADD COLUMN c int; ALTER TABLE t ADD CONSTRAINT k CHECK (c > 0) NOT VALID",
        INSERT,
    ),
    before("", "ALTER TABLE t ALTER COLUMN a DROP NOT NULL", INSERT),
    // What writers of the code of before meet.
    unknown(
        "",
        "ALTER TABLE t ADD CONSTRAINT k CHECK (id > 0) NOT VALID",
        INSERT,
    ),
    unknown(
        "",
        "CREATE TRIGGER again BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch()",
        INSERT,
    ),
];
