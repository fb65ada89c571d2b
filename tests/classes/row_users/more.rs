//! Further statements of the same kinds, found by an attack on the judge.

use super::{Case, after, before, stop, unknown};

const ADD: &str = "ALTER TABLE t ADD COLUMN c int";
const SET: &str = "ALTER TABLE t ALTER COLUMN c SET DEFAULT 0";
const INSERT: &str = "INSERT INTO t (id, a) VALUES (2, 'y')";

pub(super) const CASES: &[Case] = &[
    // Rows as wholes.
    after(
        "CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
         CREATE TABLE log (LIKE p);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO log SELECT (NEW).*; RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION f();",
        "ALTER TABLE p ADD COLUMN c int",
        "INSERT INTO p (id) VALUES (1)",
    ),
    after(
        "CREATE VIEW v AS SELECT to_jsonb(t) - 'updated_at' AS j FROM t;",
        ADD,
        "SELECT j FROM v",
    ),
    after(
        "CREATE FUNCTION one_t() RETURNS t LANGUAGE sql AS 'SELECT id, a, updated_at FROM t LIMIT 1';",
        ADD,
        "SELECT (one_t()).id",
    ),
    after(
        "CREATE FUNCTION one_t(OUT r t) LANGUAGE plpgsql AS
             'BEGIN r := ROW(1, ''a'', now())::t; END';",
        ADD,
        "SELECT (one_t()).id",
    ),
    unknown(
        "CREATE FUNCTION how_many(t[]) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM unnest($1)';",
        ADD,
        "SELECT how_many(array_agg(t)) FROM t",
    ),
    after(
        "CREATE TABLE log (LIKE t);
         CREATE PROCEDURE copy_all() LANGUAGE plpgsql AS $$ DECLARE r t; BEGIN
             FOR r IN SELECT * FROM t LOOP INSERT INTO log VALUES (r.*); END LOOP; END $$;",
        ADD,
        "CALL copy_all()",
    ),
    unknown(
        "CREATE FUNCTION first() RETURNS int LANGUAGE plpgsql AS $$ DECLARE x int; y text; z timestamptz; BEGIN
             SELECT * INTO x, y, z FROM t; RETURN x; END $$;",
        ADD,
        "SELECT first()",
    ),
    after(
        "CREATE TABLE log (LIKE t);
         CREATE FUNCTION copy_all() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
             MERGE INTO log USING t ON log.id = t.id WHEN NOT MATCHED THEN INSERT VALUES (t.*); END $$;",
        ADD,
        "SELECT copy_all()",
    ),
    unknown(
        "CREATE FUNCTION hashed(t) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1.id';
         CREATE INDEX ON t (hashed(t));",
        ADD,
        INSERT,
    ),
    after(
        "CREATE TABLE log (j jsonb);
         CREATE RULE r AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (to_jsonb(NEW) - 'updated_at');",
        ADD,
        "INSERT INTO t (id) VALUES (2); SELECT j FROM log",
    ),
    after(
        "CREATE DOMAIN dt AS t CHECK ((VALUE).id > 0); CREATE TABLE holder (x dt);",
        ADD,
        "INSERT INTO holder VALUES (ROW(1, 'a', now())::t)",
    ),
    before(
        "CREATE SCHEMA s; CREATE TABLE s.t (id int);
         CREATE FUNCTION g() RETURNS SETOF s.t LANGUAGE sql AS 'SELECT * FROM s.t';",
        ADD,
        "SELECT id FROM g()",
    ),
    unknown(
        "CREATE VIEW v AS SELECT id, a FROM t;
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO t SELECT NEW.*; RETURN NEW; END $$;
         CREATE TRIGGER f INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION f();",
        ADD,
        "INSERT INTO v VALUES (2, 'y')",
    ),
    before(
        "CREATE TABLE o (id int);
         CREATE FUNCTION joined() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t JOIN o USING (id)';",
        ADD,
        "SELECT joined()",
    ),
    after(
        "CREATE FUNCTION renamed() RETURNS text LANGUAGE sql AS 'SELECT x.c FROM t AS x (n, c)';",
        ADD,
        "SELECT renamed()",
    ),
    before(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN IF (SELECT count(*) FROM added) > 5 THEN RAISE 'many'; END IF; RETURN NULL; END $$;
         CREATE TRIGGER f AFTER INSERT ON t REFERENCING NEW TABLE AS added FOR EACH STATEMENT
             EXECUTE FUNCTION f();",
        ADD,
        INSERT,
    ),
    after(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN IF EXISTS (SELECT * FROM added EXCEPT SELECT * FROM removed) THEN RETURN NULL; END IF;
             RETURN NULL; END $$;
         CREATE TRIGGER f AFTER UPDATE ON t REFERENCING NEW TABLE AS added OLD TABLE AS removed
             FOR EACH STATEMENT EXECUTE FUNCTION f();",
        "ALTER TABLE t ADD COLUMN c json",
        "UPDATE t SET a = 'z'",
    ),
    after(
        "CREATE TABLE log (LIKE t); INSERT INTO log VALUES (1);
         CREATE FUNCTION copied() RETURNS void LANGUAGE sql AS
             'UPDATE log SET (id, a, updated_at) = (SELECT * FROM t WHERE t.id = log.id)';",
        ADD,
        "SELECT copied()",
    ),
    after(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE r t; BEGIN
             r := ROW(NEW.id, NEW.a, NEW.updated_at); RETURN r; END $$;
         CREATE TRIGGER zz BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        "ALTER TABLE t ADD COLUMN c int NOT NULL DEFAULT 5",
        INSERT,
    ),
    before(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN IF NEW.a IS DISTINCT FROM OLD.a THEN PERFORM pg_notify('t', NEW.id::text); END IF;
             RETURN NULL; END $$;
         CREATE TRIGGER f AFTER UPDATE OF a ON t FOR EACH ROW WHEN (OLD.a <> NEW.a) EXECUTE FUNCTION f();",
        ADD,
        "UPDATE t SET a = 'z'",
    ),
    before(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO log SELECT NEW.*; RETURN NULL; END $$; CREATE TABLE log (LIKE t);
         CREATE TRIGGER f AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
         ALTER TABLE t DISABLE TRIGGER f;",
        ADD,
        INSERT,
    ),
    before(
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         CREATE POLICY p ON t USING (id > 0);",
        "ALTER TABLE t ADD COLUMN c text DEFAULT 'x'",
        INSERT,
    ),
    // Values.
    unknown(
        "ALTER TABLE t ADD c int;
         CREATE TRIGGER f BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.c IS DISTINCT FROM OLD.c)
             EXECUTE FUNCTION touch();",
        SET,
        INSERT,
    ),
    after(
        "CREATE TABLE o (id int, t_id int REFERENCES t ON DELETE SET DEFAULT); INSERT INTO o VALUES (1, 1);",
        "ALTER TABLE o ALTER COLUMN t_id SET DEFAULT 0",
        "DELETE FROM t WHERE id = 1",
    ),
    after("ALTER TABLE t ADD c int; ALTER TABLE t ADD CHECK (c IS NULL) NO INHERIT;", SET, INSERT),
    before(
        "ALTER TABLE t ADD c int;
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN 10 / NEW.c; END $$;
         CREATE TRIGGER f AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
         ALTER TABLE t DISABLE TRIGGER f;",
        SET,
        INSERT,
    ),
    before(
        "ALTER TABLE t ADD c text; CREATE INDEX ON t (lower(c)); CREATE INDEX ON t (id) WHERE c IS NOT NULL;",
        "ALTER TABLE t ALTER COLUMN c SET DEFAULT 'x'",
        INSERT,
    ),
    after(
        "CREATE TABLE p (id int, c int) PARTITION BY LIST (id);
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) PARTITION BY LIST (c);
         CREATE TABLE p11 PARTITION OF p1 FOR VALUES IN (NULL);",
        "ALTER TABLE p ALTER COLUMN c SET DEFAULT 0",
        "INSERT INTO p (id) VALUES (1)",
    ),
    before(
        "CREATE SEQUENCE \"S\"; ALTER TABLE t ADD c bigint;",
        "ALTER TABLE t ALTER COLUMN c SET DEFAULT nextval('public.\"S\"'::regclass)",
        INSERT,
    ),
    unknown(
        "",
        "ALTER TABLE e ADD COLUMN c text COLLATE \"C\" DEFAULT 'a' CHECK (c = 'a')",
        "INSERT INTO e (id) VALUES (1)",
    ),
    unknown(
        "ALTER TABLE t ADD v varchar(10);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := lower(NEW.v); RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        "ALTER TABLE t ALTER COLUMN v TYPE text",
        "INSERT INTO t (id, v) VALUES (2, 'V')",
    ),
    // Other readers of the column.
    after(
        "ALTER TABLE t ADD c int; CREATE TABLE o (t_id int);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM 10 / u.c FROM t u WHERE u.id = NEW.t_id; RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE INSERT ON o FOR EACH ROW EXECUTE FUNCTION f();",
        SET,
        "INSERT INTO t (id) VALUES (2); INSERT INTO o VALUES (2)",
    ),
    after(
        "ALTER TABLE t ADD c int;
         CREATE FUNCTION shares() RETURNS SETOF int LANGUAGE sql AS 'SELECT 10 / c FROM t';",
        SET,
        "INSERT INTO t (id) VALUES (2); SELECT count(*) FROM shares() s WHERE s IS NULL",
    ),
    after(
        "ALTER TABLE t ADD c int;
         CREATE FUNCTION shares() RETURNS SETOF int LANGUAGE sql
             BEGIN ATOMIC SELECT 10 / c FROM t; END;",
        SET,
        "INSERT INTO t (id) VALUES (2); SELECT count(*) FROM shares() s WHERE s IS NULL",
    ),
    after(
        "ALTER TABLE t ADD c int; CREATE VIEW v AS SELECT id, 10 / c AS share FROM t;",
        SET,
        "INSERT INTO t (id) VALUES (2); SELECT max(share) FROM v",
    ),
    unknown(
        "ALTER TABLE t ADD c int; CREATE VIEW v AS SELECT id, c FROM t WHERE c > 5 OR a = 'x';",
        SET,
        "INSERT INTO t (id) VALUES (2); SELECT id FROM v",
    ),
    after(
        "ALTER TABLE t ADD c int; CREATE TABLE o (id int); INSERT INTO o VALUES (1);
         ALTER TABLE o ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         CREATE POLICY p ON o USING (NOT EXISTS (SELECT FROM t WHERE 10 / t.c > 1));",
        SET,
        "INSERT INTO t (id) VALUES (2); SELECT id FROM o",
    ),
    after(
        "ALTER TABLE t ADD c text; INSERT INTO t VALUES (5, 'five', now(), 'x');
         ALTER TABLE t ADD EXCLUDE USING btree (lower(c) WITH =);",
        "ALTER TABLE t ALTER COLUMN c SET DEFAULT 'X'",
        INSERT,
    ),
    after(
        "CREATE SEQUENCE q; ALTER TABLE t ADD c bigint; CREATE VIEW v AS SELECT id, a FROM t;
         GRANT INSERT ON v TO {writer};",
        "ALTER TABLE t ALTER COLUMN c SET DEFAULT nextval('q')",
        "SET LOCAL ROLE {writer}; INSERT INTO v (id, a) VALUES (2, 'y'); RESET ROLE",
    ),
    after(
        "CREATE FUNCTION label(anyelement) RETURNS text LANGUAGE sql AS 'SELECT ''row''::text';",
        "ALTER TABLE t ADD COLUMN label text",
        "SELECT t.label FROM t",
    ),
    // Partitions have the foreign keys of their table.
    Case {
        breaks: false,
        ..stop(
            "CREATE TABLE p (id int, t_id int REFERENCES t) PARTITION BY LIST (id);",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); INSERT INTO p1 (id, t_id) VALUES (1, 1)",
            INSERT,
        )
    },
    Case {
        breaks: false,
        ..stop(
            "",
            "CREATE TABLE n (t_id int REFERENCES t); UPDATE t SET a = 'q' WHERE id = 1",
            INSERT,
        )
    },
];
