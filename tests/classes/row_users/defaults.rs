//! `SET DEFAULT` beside what looks at the column's values.

use super::{Case, after, before, unknown};

const SET: &str = "ALTER TABLE t ALTER COLUMN c SET DEFAULT 0";
const INSERT: &str = "INSERT INTO t (id, a) VALUES (2, 'y')";

pub(super) const CASES: &[Case] = &[
    before("ALTER TABLE t ADD c int;", SET, INSERT),
    before(
        "ALTER TABLE t ADD c int, ADD CHECK (c IS NOT NULL) NOT VALID;",
        SET,
        "UPDATE t SET c = 1; INSERT INTO t (id, c) VALUES (2, 2)",
    ),
    before(
        "ALTER TABLE t ADD c int; CREATE INDEX ON t (c);
         CREATE VIEW v AS SELECT id, a FROM t WHERE a IS NOT NULL WITH CHECK OPTION;
         CREATE TABLE kid () INHERITS (t);",
        SET,
        "INSERT INTO kid (id, a, c) VALUES (9, 'x', 1); INSERT INTO v VALUES (2, 'y')",
    ),
    // Expressions of the table.
    after(
        "ALTER TABLE t ADD c int, ADD q int GENERATED ALWAYS AS (10 / c) STORED;",
        SET,
        INSERT,
    ),
    after("ALTER TABLE t ADD c int; CREATE INDEX ON t ((10 / c));", SET, INSERT),
    after(
        "ALTER TABLE t ADD c int; CREATE INDEX ON t (id) WHERE 10 / c > 1;",
        SET,
        INSERT,
    ),
    after("ALTER TABLE t ADD c int CHECK (c > 0);", SET, INSERT),
    after(
        "ALTER TABLE t ADD c int; ALTER TABLE t ADD CHECK (NOT (t IS NOT NULL));",
        SET,
        INSERT,
    ),
    after(
        "ALTER TABLE t ADD c int; INSERT INTO t VALUES (5, 'five', now(), 0);
         CREATE UNIQUE INDEX ON t (c);",
        SET,
        INSERT,
    ),
    after(
        "ALTER TABLE t ADD c int; INSERT INTO t VALUES (5, 'five', now(), 0);
         CREATE UNIQUE INDEX ON t ((c + 1), id) WHERE id > 0; CREATE UNIQUE INDEX ON t (abs(c));",
        SET,
        INSERT,
    ),
    after("ALTER TABLE t ADD c int REFERENCES t;", SET, INSERT),
    after(
        "ALTER TABLE t ADD c int; INSERT INTO t VALUES (5, 'five', now(), 0);
         ALTER TABLE t ADD EXCLUDE USING btree (c WITH =);",
        SET,
        INSERT,
    ),
    // Triggers.
    after(
        "ALTER TABLE t ADD c int;
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN NEW.id := NEW.id + coalesce(10 / NEW.c, 0); RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        SET,
        INSERT,
    ),
    after(
        "ALTER TABLE t ADD c int;
         CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW WHEN (10 / NEW.c > 1) EXECUTE FUNCTION touch();",
        SET,
        INSERT,
    ),
    after(
        "ALTER TABLE t ADD c int;
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN IF 10 / OLD.c > 1 THEN RETURN NULL; END IF; RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f();",
        SET,
        "INSERT INTO t (id) VALUES (9); UPDATE t SET a = 'q' WHERE id = 9",
    ),
    after(
        "ALTER TABLE t ADD c int;
         CREATE FUNCTION look(int) RETURNS int LANGUAGE plpgsql AS $$
             BEGIN RETURN (SELECT 10 / c FROM t WHERE id = $1); END $$;
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM look(NEW.id); RETURN NULL; END $$;
         CREATE TRIGGER f AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        SET,
        INSERT,
    ),
    after(
        "ALTER TABLE t ADD c int;
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM 10 / (to_jsonb(NEW) ->> 'c')::int; RETURN NULL; END $$;
         CREATE TRIGGER f AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        SET,
        INSERT,
    ),
    after(
        "ALTER TABLE t ADD c int; CREATE TABLE kid () INHERITS (t);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN NEW.id := NEW.id + coalesce(10 / NEW.c, 0); RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE INSERT ON kid FOR EACH ROW EXECUTE FUNCTION f();",
        SET,
        "INSERT INTO kid (id) VALUES (2)",
    ),
    before(
        "ALTER TABLE t ADD c int; CREATE TABLE log (id int);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO log VALUES (NEW.id); RETURN NULL; END $$;
         CREATE TRIGGER f AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        SET,
        INSERT,
    ),
    unknown(
        "ALTER TABLE t ADD c int;
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN EXECUTE 'SELECT 1'; RETURN NULL; END $$;
         CREATE TRIGGER f AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        SET,
        INSERT,
    ),
    // Policies, views and rules.
    after(
        "ALTER TABLE t ADD c int, ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         CREATE POLICY p ON t USING (true) WITH CHECK (c IS NULL);",
        SET,
        INSERT,
    ),
    after(
        "ALTER TABLE t ADD c int; CREATE VIEW v AS SELECT id, a FROM t WHERE c IS NULL WITH CHECK OPTION;",
        SET,
        "INSERT INTO v VALUES (2, 'y')",
    ),
    after(
        "ALTER TABLE t ADD c int; CREATE VIEW v AS SELECT id, a FROM t WHERE c IS NULL;
         CREATE VIEW w AS SELECT id, a FROM v WHERE id > 0 WITH CASCADED CHECK OPTION;",
        SET,
        "INSERT INTO w VALUES (2, 'y')",
    ),
    after(
        "ALTER TABLE t ADD c int; CREATE TABLE log (n int);
         CREATE RULE r AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (10 / NEW.c);",
        SET,
        INSERT,
    ),
    // Partitions and children.
    after(
        "CREATE TABLE p (id int, c int) PARTITION BY LIST (c);
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (NULL);",
        "ALTER TABLE p ALTER COLUMN c SET DEFAULT 0",
        "INSERT INTO p (id) VALUES (1)",
    ),
    after(
        "CREATE TABLE p (id int, c int) PARTITION BY LIST ((c + 1));
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (NULL);",
        "ALTER TABLE p ALTER COLUMN c SET DEFAULT 0",
        "INSERT INTO p (id) VALUES (1)",
    ),
    after(
        "CREATE TABLE p (id int, c int) PARTITION BY LIST (c);
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (NULL);",
        "ALTER TABLE p1 ALTER COLUMN c SET DEFAULT 0",
        "INSERT INTO p1 (id) VALUES (1)",
    ),
    after(
        "CREATE TABLE p (id int, c int) PARTITION BY LIST (id);
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); ALTER TABLE p1 ADD CHECK (c > 5);",
        "ALTER TABLE p ALTER COLUMN c SET DEFAULT 0",
        "INSERT INTO p (id) VALUES (1)",
    ),
    after(
        "ALTER TABLE t ADD c int; CREATE TABLE kid () INHERITS (t);
         CREATE INDEX ON kid ((10 / c));",
        SET,
        "INSERT INTO kid (id) VALUES (1)",
    ),
];
