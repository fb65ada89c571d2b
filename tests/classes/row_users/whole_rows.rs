//! `ADD COLUMN` beside functions whose rows of the table go to what has the table's own row type: one more column is at
//! the end of both.

use super::{Case, after, before, unknown};

const ADD: &str = "ALTER TABLE t ADD COLUMN c int NOT NULL DEFAULT 5";
const INSERT: &str = "INSERT INTO t (id, a) VALUES (2, 'y')";

pub(super) const CASES: &[Case] = &[
    // Functions of rows of the table.
    before(
        "CREATE FUNCTION all_t() RETURNS SETOF t LANGUAGE sql AS 'SELECT * FROM t WHERE id > 0 ORDER BY id LIMIT 5;';
         CREATE VIEW v AS SELECT id FROM all_t();",
        ADD,
        "SELECT id FROM all_t(); SELECT id FROM v",
    ),
    before(
        "CREATE FUNCTION all_t() RETURNS SETOF public.t LANGUAGE plpgsql AS
             'BEGIN RETURN QUERY SELECT u.* FROM public.t AS u JOIN e ON e.id = u.id; RETURN; END';",
        ADD,
        "SELECT count(*) FROM all_t()",
    ),
    before(
        "CREATE FUNCTION put(text) RETURNS t LANGUAGE sql AS
             'INSERT INTO t (id, a) VALUES (9, $1) ON CONFLICT (id) DO UPDATE SET a = $1 RETURNING *';",
        ADD,
        "SELECT (put('x')).a",
    ),
    before(
        "CREATE FUNCTION mine(n int) RETURNS SETOF t LANGUAGE sql AS
             'WITH one AS (SELECT id FROM t WHERE id = n) SELECT t.* FROM t WHERE t.id IN (SELECT id FROM one)';",
        ADD,
        "SELECT a FROM mine(1)",
    ),
    after(
        "CREATE TABLE kid () INHERITS (t); ALTER TABLE kid ADD extra int;
         CREATE FUNCTION kids() RETURNS SETOF kid LANGUAGE sql AS 'SELECT t.*, 1 FROM t';",
        "ALTER TABLE t ADD COLUMN c text",
        "SELECT id FROM kids()",
    ),
    after(
        "CREATE TABLE o (id int); INSERT INTO o VALUES (1);
         CREATE FUNCTION all_o() RETURNS SETOF o LANGUAGE sql AS
             'SELECT * FROM o WHERE (SELECT count(*) FROM (SELECT * FROM t UNION SELECT 1, ''x'', now()) u) > 0';",
        ADD,
        "SELECT id FROM all_o()",
    ),
    after(
        "CREATE FUNCTION all_t() RETURNS SETOF t LANGUAGE sql AS 'SELECT t.* FROM t UNION ALL SELECT 5, ''x'', now()';",
        ADD,
        "SELECT id FROM all_t()",
    ),
    after(
        "CREATE FUNCTION all_t() RETURNS SETOF t LANGUAGE sql AS 'SELECT 5, t.a, t.updated_at FROM t';",
        ADD,
        "SELECT id FROM all_t()",
    ),
    before(
        "CREATE TABLE o (id int, t_id int); INSERT INTO o VALUES (1, 1);
         CREATE FUNCTION orders() RETURNS SETOF o LANGUAGE sql AS
             'SELECT x.* FROM o x JOIN t ON t.id = x.t_id WHERE t.a IS NOT NULL';",
        ADD,
        "SELECT id FROM orders()",
    ),
    // Variables of the row type.
    before(
        "CREATE FUNCTION first() RETURNS text LANGUAGE plpgsql AS
             'DECLARE r t%ROWTYPE; BEGIN SELECT * INTO r FROM t WHERE id = 1; RETURN r.a || r.id; END';",
        ADD,
        "SELECT first()",
    ),
    before(
        "CREATE FUNCTION first() RETURNS text LANGUAGE plpgsql AS
             'DECLARE u t; BEGIN SELECT * FROM t INTO STRICT u LIMIT 1; IF u.a IS NULL THEN RETURN NULL; END IF;
              IF NOT FOUND THEN RETURN 1; END IF; RETURN u.a; END';",
        ADD,
        "SELECT first()",
    ),
    before(
        "CREATE FUNCTION first() RETURNS t LANGUAGE plpgsql AS
             'DECLARE r public.t%ROWTYPE; BEGIN UPDATE t SET a = a RETURNING * INTO r; RETURN r; END';",
        ADD,
        "SELECT (first()).a",
    ),
    before(
        "CREATE FUNCTION all_t() RETURNS SETOF t LANGUAGE plpgsql AS
             'DECLARE r record; BEGIN FOR r IN SELECT * FROM t ORDER BY id LOOP RETURN NEXT r; END LOOP; END';",
        ADD,
        "SELECT a FROM all_t()",
    ),
    before(
        "CREATE FUNCTION names() RETURNS text LANGUAGE plpgsql AS
             'DECLARE r record; s text := ''''; BEGIN FOR r IN SELECT t.* FROM t LOOP s := s || r.a; END LOOP; RETURN s; END';",
        ADD,
        "SELECT names()",
    ),
    before(
        "CREATE FUNCTION first() RETURNS text LANGUAGE plpgsql AS
             'DECLARE r t%ROWTYPE; BEGIN SELECT id, a INTO r FROM t; RETURN r.a; END';",
        ADD,
        "SELECT first()",
    ),
    before(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             DECLARE r t%ROWTYPE; BEGIN SELECT * INTO r FROM t WHERE id = NEW.id;
             IF r.a = 'x' THEN NEW.a := r.a; END IF; RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        ADD,
        INSERT,
    ),
    after(
        "CREATE TABLE log (LIKE t);
         CREATE FUNCTION copied() RETURNS void LANGUAGE plpgsql AS
             'DECLARE r t%ROWTYPE; BEGIN SELECT * INTO r FROM t; INSERT INTO log VALUES (r.*); END';",
        ADD,
        "SELECT copied()",
    ),
    after(
        "CREATE TABLE log (LIKE t);
         CREATE FUNCTION copied() RETURNS void LANGUAGE plpgsql AS
             'DECLARE r t%ROWTYPE; BEGIN SELECT * INTO r FROM t; INSERT INTO log SELECT r.*; END';",
        ADD,
        "SELECT copied()",
    ),
    after(
        "CREATE FUNCTION told() RETURNS text LANGUAGE plpgsql AS
             'DECLARE r record; BEGIN SELECT * INTO r FROM t; RETURN r; END';",
        ADD,
        "SELECT told()",
    ),
    after(
        "CREATE FUNCTION told() RETURNS text LANGUAGE plpgsql AS
             'DECLARE r record; BEGIN SELECT * INTO r FROM t; RETURN (SELECT count(*) FROM json_each(to_json(r))); END';",
        ADD,
        "SELECT told()",
    ),
    after(
        "CREATE FUNCTION told() RETURNS text LANGUAGE plpgsql AS
             'DECLARE r t; s t; BEGIN SELECT * INTO r FROM t; s := r; RETURN s::text; END';",
        ADD,
        "SELECT told()",
    ),
    after(
        "CREATE FUNCTION told() RETURNS text LANGUAGE plpgsql AS
             'DECLARE r t; BEGIN SELECT * INTO r FROM t;
              IF r IS NOT DISTINCT FROM ROW(1, ''x''::text, r.updated_at) THEN RETURN ''same''; END IF; RETURN NULL; END';",
        ADD,
        "SELECT told()",
    ),
    after(
        "CREATE FUNCTION told() RETURNS text LANGUAGE plpgsql AS
             'DECLARE r e; BEGIN SELECT * INTO r FROM (SELECT 1, ''x'') q;
              RETURN (SELECT x.c FROM (SELECT * FROM t) x (n, c) LIMIT 1); END';",
        ADD,
        "SELECT told()",
    ),
    // Rows of one table in variables of another one's type: their first columns.
    unknown(
        "CREATE FUNCTION first() RETURNS text LANGUAGE plpgsql AS
             'DECLARE r e%ROWTYPE; BEGIN SELECT * INTO r FROM t; RETURN r.a; END';",
        ADD,
        "SELECT first()",
    ),
    after(
        "CREATE TABLE log (LIKE t);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE r t; BEGIN
             SELECT * INTO r FROM t WHERE id = 1; r.id := 77; r.a := 'of r'; r := ROW(77, 'r', now()); RETURN r; END $$;
         CREATE TRIGGER zz BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        ADD,
        INSERT,
    ),
    // What builds its statement of the catalog's columns.
    after(
        "CREATE TABLE log (LIKE t);
         CREATE FUNCTION copy_of(name text) RETURNS void LANGUAGE plpgsql AS $$ DECLARE names text; BEGIN
             SELECT string_agg(quote_ident(column_name), ',') INTO names FROM information_schema.columns
                 WHERE table_name = name AND table_schema = 'public';
             EXECUTE format('INSERT INTO log (%s) SELECT %s FROM %I', names, names, name); END $$;",
        ADD,
        "SELECT copy_of('t')",
    ),
    // An extension's type with equality.
    before(
        "CREATE EXTENSION citext;
         CREATE TRIGGER f BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
             EXECUTE FUNCTION touch();",
        "ALTER TABLE t ADD COLUMN c citext",
        "UPDATE t SET id = 1 WHERE id = 1",
    ),
];
