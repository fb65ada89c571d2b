//! `SET DEFAULT` beside code that reads the column from elsewhere, and tables that a new one comes to depend on.

use stagelink_pipeline::Class;

use super::{Case, after, before, stop};

const SET: &str = "ALTER TABLE t ALTER COLUMN c SET DEFAULT 0";
const INSERT: &str = "INSERT INTO t (id, a) VALUES (2, 'y')";

pub(super) const CASES: &[Case] = &[
    after(
        "CREATE EXTENSION btree_gist;
         CREATE TABLE slots (id int, status text, EXCLUDE USING gist (id WITH =) WHERE (status = 'open'));
         INSERT INTO slots VALUES (1, 'open');",
        "ALTER TABLE slots ALTER COLUMN status SET DEFAULT 'open'",
        "INSERT INTO slots (id) VALUES (1)",
    ),
    after(
        "ALTER TABLE t ADD c int; CREATE VIEW v AS SELECT id, c AS share FROM t; CREATE TABLE o (id int);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN NEW.id := (SELECT 10 / share FROM v WHERE v.id = NEW.id); RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE INSERT ON o FOR EACH ROW EXECUTE FUNCTION f();",
        SET,
        "INSERT INTO t (id) VALUES (2); INSERT INTO o VALUES (2)",
    ),
    after(
        "ALTER TABLE t ADD c int; CREATE VIEW v AS SELECT id, c AS share FROM t;
         CREATE FUNCTION shares() RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC SELECT 10 / share FROM v; END;",
        SET,
        "INSERT INTO t (id) VALUES (2); SELECT count(*) FROM shares() s WHERE s IS NULL",
    ),
    after(
        "ALTER TABLE t ADD c int; CREATE VIEW v AS SELECT id FROM t WHERE c IS NULL;",
        SET,
        "INSERT INTO t (id) VALUES (2); SELECT id FROM v",
    ),
    before(
        "ALTER TABLE t ADD c int; CREATE VIEW v AS SELECT id, a FROM t; CREATE MATERIALIZED VIEW m AS SELECT id FROM t;",
        SET,
        "INSERT INTO t (id) VALUES (2); SELECT id FROM v",
    ),
    before(
        "ALTER TABLE t ADD c int; CREATE VIEW v AS SELECT id, t.c AS share FROM t WHERE a IS NOT NULL;
         CREATE VIEW w AS SELECT share FROM v;",
        SET,
        "INSERT INTO t (id) VALUES (2); SELECT share FROM w",
    ),
    after(
        "ALTER TABLE t ADD c int; CREATE VIEW v AS SELECT id, c AS share FROM t;
         CREATE VIEW w AS SELECT id FROM v WHERE share IS NULL;",
        SET,
        "INSERT INTO t (id) VALUES (2); SELECT id FROM w",
    ),
    // A table that another one comes to reference cannot be emptied.
    after(
        "CREATE TABLE s (id int PRIMARY KEY);
         CREATE FUNCTION reload() RETURNS void LANGUAGE plpgsql AS $$ BEGIN TRUNCATE s; END $$;",
        "CREATE TABLE n (id int, s_id int REFERENCES s)",
        "SELECT reload()",
    ),
    after(
        "CREATE TABLE s (id int PRIMARY KEY);
         CREATE FUNCTION reload() RETURNS void LANGUAGE sql AS $$ TRUNCATE TABLE ONLY public.s RESTART IDENTITY $$;",
        "ALTER TABLE e ADD COLUMN s_id int REFERENCES s",
        "SELECT reload()",
    ),
    after(
        "CREATE TABLE s (id int PRIMARY KEY); ALTER TABLE e ADD s_id int;
         CREATE FUNCTION reload(name text) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN EXECUTE format('TRUNCATE %I', name); END $$;",
        "ALTER TABLE e ADD CONSTRAINT k FOREIGN KEY (s_id) REFERENCES s NOT VALID",
        "SELECT reload('s')",
    ),
    before(
        "CREATE TABLE s (id int PRIMARY KEY); CREATE TABLE other (id int);
         CREATE FUNCTION reload() RETURNS void LANGUAGE plpgsql AS $$ BEGIN TRUNCATE s CASCADE; TRUNCATE other; END $$;",
        "CREATE TABLE n (id int, s_id int REFERENCES s)",
        "SELECT reload()",
    ),
    after(
        "CREATE TABLE s (id int PRIMARY KEY); CREATE TABLE other (id int REFERENCES s);
         CREATE FUNCTION reload() RETURNS void LANGUAGE plpgsql AS $$ BEGIN TRUNCATE s, other; END $$;",
        "CREATE TABLE n (id int, s_id int REFERENCES s)",
        "SELECT reload()",
    ),
    // A row that stays locked while a query goes through a large table.
    Case {
        breaks: false,
        ..stop(
            "CREATE TABLE big AS SELECT n AS id, repeat('a', 100) AS a FROM generate_series(1, 20000) n;",
            "UPDATE t SET a = 'q' WHERE id = 1; CREATE TABLE copied AS SELECT * FROM big",
            INSERT,
        )
    },
    Case {
        breaks: false,
        ..stop(
            "CREATE TABLE big AS SELECT n AS id, repeat('a', 100) AS a FROM generate_series(1, 20000) n;
             CREATE TABLE o (t_id int REFERENCES t);",
            "INSERT INTO o VALUES (1); SELECT count(*) FROM big",
            INSERT,
        )
    },
    Case {
        class: Class::Before,
        ..before(
            "CREATE TABLE o (t_id int REFERENCES t);",
            "INSERT INTO o VALUES (1); INSERT INTO o SELECT id FROM t; UPDATE t SET a = 'q' WHERE id = 1; SELECT count(*) FROM t",
            "SELECT 1",
        )
    },
    // Indexes that depend on a column, whose type becomes wider.
    Case {
        breaks: false,
        ..stop(
            "CREATE TABLE big AS SELECT n AS id, 'a'::varchar(10) AS v, repeat('a', 100) AS a FROM generate_series(1, 20000) n;
             CREATE INDEX big_v ON big (v) WHERE id > 5;",
            "ALTER TABLE big ALTER COLUMN v TYPE varchar(20)",
            "SELECT 1",
        )
    },
    before(
        "CREATE TABLE big AS SELECT n AS id, 'a'::varchar(10) AS v, repeat('a', 100) AS a FROM generate_series(1, 20000) n;
         CREATE INDEX big_v ON big (v); CREATE INDEX big_id ON big (id) WHERE id > 5 AND a IS NOT NULL;",
        "ALTER TABLE big ALTER COLUMN v TYPE varchar(20)",
        "SELECT 1",
    ),
    before(
        "ALTER TABLE t ADD v varchar(10); CREATE INDEX t_v ON t (v) WHERE v IS NOT NULL;",
        "ALTER TABLE t ALTER COLUMN v TYPE varchar(20)",
        "INSERT INTO t (id, v) VALUES (2, 'y')",
    ),
];
