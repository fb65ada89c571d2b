//! Indexes and generated columns that compute: whether a later write of the code of before may fail.

use super::{Case, after, before, unknown};

const INSERT: &str = "INSERT INTO t (id, a) VALUES (2, 'y')";
const E: &str = "ALTER TABLE e ADD n int, ADD ts timestamptz, ADD j jsonb, ADD zone text, ADD w tsvector, ADD l int[];";

pub(super) const CASES: &[Case] = &[
    before(
        "",
        "ALTER TABLE t ADD COLUMN c timestamptz NOT NULL DEFAULT timezone('utc'::text, now())",
        INSERT,
    ),
    before(
        "",
        "ALTER TABLE t ADD COLUMN c timestamp DEFAULT timezone('utc', now())",
        INSERT,
    ),
    before(
        E,
        "CREATE INDEX e_day ON e (date(ts AT TIME ZONE 'utc'))",
        INSERT,
    ),
    before(
        E,
        "CREATE INDEX e_day ON e (((ts AT TIME ZONE 'Europe/Berlin')::date))",
        INSERT,
    ),
    before(
        E,
        "CREATE INDEX e_month ON e (date_trunc('month', ts AT TIME ZONE 'utc'))",
        INSERT,
    ),
    before(
        E,
        "CREATE INDEX e_a ON e (lower(a), substring(a from 1 for 5), left(a, -2), position('x' in a))",
        INSERT,
    ),
    before(
        E,
        "CREATE INDEX e_w ON e USING gin (to_tsvector('english'::regconfig, coalesce(a, '')))",
        INSERT,
    ),
    before(
        E,
        "CREATE INDEX e_k ON e ((j ->> 'k'), ((j -> 'a') ->> 'b')) WHERE j ? 'k'",
        INSERT,
    ),
    before(
        E,
        "CREATE INDEX e_open ON e (n) WHERE a IN ('x', 'y') AND n IS NOT NULL AND NOT (n = ANY (ARRAY[1, 2]))",
        INSERT,
    ),
    before(
        E,
        "CREATE INDEX e_year ON e (EXTRACT(year FROM ts AT TIME ZONE 'utc'))",
        INSERT,
    ),
    before(
        E,
        "CREATE INDEX e_case ON e ((CASE WHEN n > 5 THEN a ELSE 'x' END), (n::bigint))",
        INSERT,
    ),
    before(
        "",
        "ALTER TABLE e ADD COLUMN c tsvector GENERATED ALWAYS AS (setweight(to_tsvector('simple', coalesce(a, '')), 'A')) STORED",
        INSERT,
    ),
    before(
        "",
        "ALTER TABLE e ADD COLUMN c text GENERATED ALWAYS AS (lower(a)) STORED",
        INSERT,
    ),
    before(
        "",
        "ALTER TABLE e ADD COLUMN c boolean GENERATED ALWAYS AS (a IS NOT NULL AND id > 5) STORED",
        INSERT,
    ),
    // Values for which they fail.
    after(
        E,
        "CREATE INDEX e_n ON e (substring(a from 1 for n))",
        "INSERT INTO e (a, n) VALUES ('x', -1)",
    ),
    after(
        E,
        "CREATE INDEX e_n ON e (substr(a, 1, n))",
        "INSERT INTO e (a, n) VALUES ('x', -1)",
    ),
    after(
        E,
        "CREATE INDEX e_n ON e (overlay(a placing 'x' from n))",
        "INSERT INTO e (a, n) VALUES ('x', -1)",
    ),
    after(
        E,
        "CREATE INDEX e_n ON e (n) WHERE a SIMILAR TO zone",
        "INSERT INTO e (a, n, zone) VALUES ('x', -1, '(')",
    ),
    after(
        E,
        "CREATE INDEX e_n ON e (n) WHERE a LIKE zone",
        "INSERT INTO e (a, n, zone) VALUES ('xy', -1, 'x\\')",
    ),
    after(
        E,
        "CREATE INDEX e_n ON e ((ts AT TIME ZONE zone))",
        "INSERT INTO e (ts, zone) VALUES (now(), 'nowhere')",
    ),
    after(
        E,
        "CREATE INDEX e_n ON e (timezone(zone, ts))",
        "INSERT INTO e (ts, zone) VALUES (now(), 'nowhere')",
    ),
    after(
        E,
        "CREATE INDEX e_n ON e (date_trunc(zone, ts AT TIME ZONE 'utc'))",
        "INSERT INTO e (ts, zone) VALUES (now(), 'nothing')",
    ),
    after(
        E,
        "CREATE INDEX e_n ON e (date_trunc('nothing', ts AT TIME ZONE 'utc'))",
        "INSERT INTO e (ts) VALUES (now())",
    ),
    after(
        E,
        "CREATE INDEX e_n ON e ((-n))",
        "INSERT INTO e (n) VALUES (-2147483648)",
    ),
    after(
        E,
        "CREATE INDEX e_n ON e ((l || ARRAY[1]))",
        "INSERT INTO e (l) VALUES ('{{1,2},{3,4}}')",
    ),
    after(
        E,
        "CREATE INDEX e_n ON e (setweight(w, zone::\"char\"))",
        "INSERT INTO e (w, zone) VALUES ('a:1', 'x')",
    ),
    after(
        E,
        "CREATE INDEX e_n ON e (((j ->> 'k')::int))",
        "INSERT INTO e (j) VALUES ('{\"k\": \"x\"}')",
    ),
    unknown(E, "CREATE INDEX e_n ON e (split_part(a, ',', n))", INSERT),
    after(
        "",
        "ALTER TABLE e ADD COLUMN c varchar(3) GENERATED ALWAYS AS (lower(a)) STORED",
        "INSERT INTO e (a) VALUES ('long')",
    ),
    after(
        "ALTER TABLE e ADD n int;",
        "ALTER TABLE e ADD COLUMN c smallint GENERATED ALWAYS AS (n) STORED",
        "INSERT INTO e (n) VALUES (100000)",
    ),
    after(
        "ALTER TABLE e ADD n numeric;",
        "ALTER TABLE e ADD COLUMN c numeric(3, 1) GENERATED ALWAYS AS (n) STORED",
        "INSERT INTO e (n) VALUES (100000)",
    ),
    after(
        "",
        "ALTER TABLE e ADD COLUMN c smallint GENERATED ALWAYS AS (length(a)) STORED",
        "INSERT INTO e (a) VALUES (repeat('x', 40000))",
    ),
    after(
        "CREATE DOMAIN short AS text CHECK (length(VALUE) < 3);",
        "ALTER TABLE e ADD COLUMN c short GENERATED ALWAYS AS ('long') STORED",
        "INSERT INTO e (a) VALUES ('x')",
    ),
    after(
        "CREATE DOMAIN short AS text CHECK (length(VALUE) < 3);",
        "ALTER TABLE e ADD COLUMN c short GENERATED ALWAYS AS (lower(a)) STORED",
        "INSERT INTO e (a) VALUES ('long')",
    ),
];
