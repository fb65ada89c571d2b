//! `ADD COLUMN` beside code that uses the rows of the table as wholes, and beside code that names its columns.

use super::{Case, after, before};

const ADD: &str = "ALTER TABLE t ADD COLUMN c int";
const INSERT: &str = "INSERT INTO t (id, a) VALUES (2, 'y')";
const UPDATE: &str = "UPDATE t SET a = 'z' WHERE id = 1";

/// A trigger that compares whole rows.
const COMPARES: &str = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN IF ROW(NEW.*) IS DISTINCT FROM ROW(OLD.*) THEN NEW.a := NEW.a; END IF; RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f();";

/// A function that is called as `t.label`.
const LABEL: &str =
    "CREATE FUNCTION label(one t) RETURNS text LANGUAGE sql AS 'SELECT one.a || one.id';";

pub(super) const CASES: &[Case] = &[
    before("", ADD, INSERT),
    // Triggers.
    after(
        "CREATE TABLE log (LIKE t);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO log SELECT NEW.*; RETURN NULL; END $$;
         CREATE TRIGGER log AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        ADD,
        INSERT,
    ),
    after(
        "CREATE TABLE log (LIKE t);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO log VALUES (NEW.*); RETURN NULL; END $$;
         CREATE TRIGGER log AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        "ALTER TABLE t ADD COLUMN c int DEFAULT 5",
        INSERT,
    ),
    after(
        "CREATE TABLE log (LIKE t);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO log SELECT * FROM t WHERE id = NEW.id; RETURN NULL; END $$;
         CREATE TRIGGER log AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        ADD,
        INSERT,
    ),
    after(
        "CREATE TABLE log (LIKE t);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO log SELECT * FROM added; RETURN NULL; END $$;
         CREATE TRIGGER log AFTER INSERT ON t REFERENCING NEW TABLE AS added FOR EACH STATEMENT
             EXECUTE FUNCTION f();",
        ADD,
        INSERT,
    ),
    after(
        COMPARES,
        "ALTER TABLE t ADD COLUMN c json DEFAULT '{}'",
        UPDATE,
    ),
    before(
        COMPARES,
        ADD,
        UPDATE,
    ),
    after(
        "CREATE TRIGGER f BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
             EXECUTE FUNCTION touch();",
        "ALTER TABLE t ADD COLUMN c json DEFAULT '{}'",
        "UPDATE t SET id = 1 WHERE id = 1",
    ),
    before(
        "CREATE TYPE mood AS ENUM ('ok');
         CREATE TRIGGER f BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
             EXECUTE FUNCTION touch();",
        "ALTER TABLE t ADD COLUMN c mood, ADD COLUMN d text[]",
        "UPDATE t SET id = 1 WHERE id = 1",
    ),
    before(
        "CREATE TABLE log (at timestamptz DEFAULT now(), op text, row jsonb);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO log (op, row) VALUES (TG_OP, to_jsonb(NEW) - 'updated_at');
             PERFORM pg_notify('t', row_to_json(NEW)::text); RETURN NULL; END $$;
         CREATE TRIGGER log AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f();
         CREATE FUNCTION all_of_t() RETURNS SETOF json LANGUAGE sql AS 'SELECT row_to_json(x) FROM t x';",
        ADD,
        "INSERT INTO t (id) VALUES (3); UPDATE t SET id = 4 WHERE id = 3; SELECT count(*) FROM all_of_t()",
    ),
    after(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF (SELECT count(*) FROM jsonb_object_keys(to_jsonb(NEW))) <> 3 THEN RAISE 'odd'; END IF;
             RETURN NULL; END $$;
         CREATE TRIGGER log AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        ADD,
        INSERT,
    ),
    after(
        "CREATE TABLE log (LIKE t);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN EXECUTE 'INSERT INTO log SELECT ($1).*' USING NEW; RETURN NULL; END $$;
         CREATE TRIGGER log AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        ADD,
        INSERT,
    ),
    before(
        "CREATE TABLE log (id int, name text);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO log VALUES (COALESCE(NEW.id, OLD.id), TG_OP); RETURN COALESCE(NEW, OLD); END $$;
         CREATE TRIGGER log BEFORE INSERT OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION f();",
        ADD,
        "INSERT INTO t (id) VALUES (3); DELETE FROM t WHERE id = 3",
    ),
    before(
        "ALTER TABLE t ADD words tsvector;
         CREATE TRIGGER words BEFORE INSERT ON t FOR EACH ROW
             EXECUTE FUNCTION tsvector_update_trigger(words, 'pg_catalog.english', a);",
        ADD,
        INSERT,
    ),
    // A trigger of another table.
    after(
        "CREATE TABLE o (id int); CREATE TABLE log (LIKE t);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO log SELECT u.* FROM t u WHERE u.id = NEW.id; RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE INSERT ON o FOR EACH ROW EXECUTE FUNCTION f();",
        ADD,
        "INSERT INTO o VALUES (1)",
    ),
    before(
        "CREATE TABLE o (id int);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO t VALUES (NEW.id, 'of o', now()); RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE INSERT ON o FOR EACH ROW EXECUTE FUNCTION f();",
        ADD,
        "INSERT INTO o VALUES (7)",
    ),
    // Functions.
    after(
        "CREATE FUNCTION all_t() RETURNS SETOF t LANGUAGE sql AS 'SELECT id, a, updated_at FROM t';",
        ADD,
        "SELECT id FROM all_t()",
    ),
    before(
        "CREATE FUNCTION all_t() RETURNS SETOF t LANGUAGE sql AS 'SELECT * FROM t';",
        ADD,
        "SELECT id FROM all_t()",
    ),
    after(
        "CREATE FUNCTION all_t() RETURNS SETOF t LANGUAGE plpgsql AS
             'BEGIN RETURN QUERY SELECT id, a, updated_at FROM t; END';
         CREATE VIEW v AS SELECT id FROM all_t();",
        ADD,
        "SELECT id FROM v",
    ),
    after(
        "CREATE FUNCTION all_t() RETURNS TABLE (id int, a text, at timestamptz) LANGUAGE sql AS
             'SELECT * FROM t';",
        ADD,
        "SELECT id FROM all_t()",
    ),
    after(
        "CREATE FUNCTION all_t() RETURNS TABLE (n int, b text, at timestamptz) LANGUAGE plpgsql AS
             'BEGIN RETURN QUERY SELECT u.* FROM public.t AS u; END';",
        ADD,
        "SELECT n FROM all_t()",
    ),
    before(
        "CREATE FUNCTION all_t() RETURNS TABLE (id int, a text, at timestamptz) LANGUAGE sql
             BEGIN ATOMIC SELECT * FROM t; END;",
        ADD,
        "SELECT id FROM all_t()",
    ),
    before(
        "CREATE FUNCTION all_t() RETURNS TABLE (id int, a text) LANGUAGE sql AS 'SELECT id, a FROM t';
         CREATE FUNCTION counted() RETURNS bigint LANGUAGE plpgsql AS
             'BEGIN RETURN (SELECT count(*) FROM t WHERE a IS NOT NULL); END';",
        ADD,
        "SELECT id, counted() FROM all_t()",
    ),
    before(
        LABEL,
        ADD,
        "SELECT t.label FROM t",
    ),
    after(
        LABEL,
        "ALTER TABLE t ADD COLUMN label text",
        "SELECT t.label FROM t",
    ),
    after(
        "CREATE FUNCTION label(t) RETURNS text LANGUAGE sql AS 'SELECT to_jsonb($1)::text';",
        ADD,
        "SELECT t.label FROM t",
    ),
    after(
        "CREATE FUNCTION found(status text) RETURNS int LANGUAGE plpgsql AS
             'BEGIN RETURN (SELECT id FROM t WHERE a = status); END';",
        "ALTER TABLE t ADD COLUMN status text",
        "SELECT found('x')",
    ),
    after(
        "CREATE FUNCTION found(status text) RETURNS int LANGUAGE sql AS
             'SELECT id FROM t WHERE a = status';",
        "ALTER TABLE t ADD COLUMN status text",
        "SELECT found('x')",
    ),
    after(
        "CREATE TABLE o (id int, c int); INSERT INTO o VALUES (1, 5);
         CREATE FUNCTION joined() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t NATURAL JOIN o';",
        ADD,
        "SELECT joined()",
    ),
    after(
        "CREATE TABLE log (LIKE t);
         CREATE FUNCTION archive(text, text) RETURNS void LANGUAGE plpgsql AS
             $$ BEGIN EXECUTE format('INSERT INTO %I SELECT * FROM %I', $2, $1); END $$;",
        ADD,
        "SELECT archive('t', 'log')",
    ),
    before(
        "CREATE FUNCTION manage(regclass) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
             EXECUTE format('CREATE TRIGGER u BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION touch()', $1);
             END $$;",
        ADD,
        INSERT,
    ),
    before(
        "CREATE FUNCTION first() RETURNS text LANGUAGE plpgsql AS
             'DECLARE r t%ROWTYPE; BEGIN SELECT id, a INTO r FROM t; RETURN r.a; END';",
        ADD,
        "SELECT first()",
    ),
    // Children and partitions.
    after(
        "CREATE TABLE kid (extra int) INHERITS (t);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO kid VALUES (NEW.*); RETURN NULL; END $$;
         CREATE TRIGGER zz BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        "ALTER TABLE t ADD COLUMN c text DEFAULT 'x'",
        INSERT,
    ),
    after(
        "CREATE TABLE kid () INHERITS (t); CREATE TABLE log (LIKE t);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO log SELECT NEW.*; RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE INSERT ON kid FOR EACH ROW EXECUTE FUNCTION f();",
        ADD,
        "INSERT INTO kid (id) VALUES (5)",
    ),
    after(
        "CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
         CREATE TABLE log (LIKE p);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO log VALUES (NEW.*); RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE INSERT ON p1 FOR EACH ROW EXECUTE FUNCTION f();",
        "ALTER TABLE p ADD COLUMN c int",
        "INSERT INTO p (id) VALUES (1)",
    ),
    // What the catalog has bound.
    after(
        "ALTER TABLE t ADD CHECK (t IS NOT NULL);",
        ADD,
        INSERT,
    ),
    after(
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         CREATE POLICY p ON t USING (true) WITH CHECK (t IS NOT NULL);",
        ADD,
        INSERT,
    ),
    after(
        "CREATE VIEW v AS SELECT count(*) AS n FROM t WHERE t IS NOT NULL;",
        ADD,
        "SELECT n FROM v",
    ),
    after(
        "CREATE TABLE holder (x t);",
        ADD,
        "INSERT INTO holder VALUES (ROW(1, 'a', now())::t)",
    ),
    before(
        "CREATE TABLE log (LIKE t); CREATE VIEW v AS SELECT * FROM t;
         CREATE RULE r AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (NEW.*);
         CREATE MATERIALIZED VIEW m AS SELECT * FROM t;",
        ADD,
        "INSERT INTO v (id, a) VALUES (4, 'v'); REFRESH MATERIALIZED VIEW m; SELECT id FROM v",
    ),
];
