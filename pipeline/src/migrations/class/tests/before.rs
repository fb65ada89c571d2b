//! Statements that the code of before bears, while it runs.

use super::*;

#[test]
fn statement_of_before_is_known() {
    check(
        &shop(),
        &[
            (
                "CREATE TABLE t2 (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text NOT NULL)",
                Before,
                &[],
            ),
            (
                "CREATE TABLE t3 (id bigint PRIMARY KEY, big_id bigint REFERENCES big(id))",
                Before,
                &[],
            ),
            ("CREATE TABLE t4 (LIKE big INCLUDING ALL)", Before, &[]),
            ("CREATE TABLE t5 AS SELECT * FROM big", Before, &[]),
            ("ALTER TABLE big ADD COLUMN c1 text", Before, &[]),
            ("ALTER TABLE big ADD COLUMN c2 int DEFAULT 5", Before, &[]),
            ("ALTER TABLE big ADD COLUMN c2 int DEFAULT -5", Before, &[]),
            (
                "ALTER TABLE big ADD COLUMN c3 int NOT NULL DEFAULT 5",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c4 timestamptz DEFAULT now()",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c4 date NOT NULL DEFAULT CURRENT_DATE",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c5 text[] DEFAULT '{}'",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c5 int[] DEFAULT ARRAY[1, 2]",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c6 int GENERATED ALWAYS AS (id * 2) VIRTUAL",
                Before,
                &[],
            ),
            ("CREATE INDEX CONCURRENTLY i ON big (a)", Before, &[]),
            (
                "ALTER TABLE big ALTER COLUMN v TYPE varchar(200)",
                Before,
                &[],
            ),
            ("ALTER TABLE big ALTER COLUMN v TYPE text", Before, &[]),
            (
                "ALTER TABLE big ALTER v SET DATA TYPE text USING v::text",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ALTER COLUMN b TYPE int USING b::int",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ALTER COLUMN n TYPE numeric(12,2)",
                Before,
                &[],
            ),
            ("ALTER TABLE big ALTER COLUMN a DROP NOT NULL", Before, &[]),
            (
                "ALTER TABLE big ALTER COLUMN a SET DEFAULT 'x'",
                Before,
                &[],
            ),
            ("ALTER TABLE big DROP CONSTRAINT ck_a", Before, &[]),
            ("ALTER TABLE big ALTER COLUMN a SET NOT NULL", Before, &[]),
            (
                "ALTER TABLE big ADD CONSTRAINT u UNIQUE USING INDEX big_nn",
                Before,
                &[],
            ),
            ("ALTER TABLE small DROP CONSTRAINT fk", Before, &[]),
            ("ALTER TABLE big VALIDATE CONSTRAINT ck_a", Before, &[]),
            ("ALTER TYPE mood ADD VALUE 'meh'", Before, &[]),
            ("CREATE VIEW v2 AS SELECT id FROM big", Before, &[]),
            (
                "CREATE OR REPLACE VIEW v2 AS SELECT id FROM big",
                Before,
                &[],
            ),
            (
                "CREATE OR REPLACE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                Before,
                &[],
            ),
            ("COMMENT ON COLUMN big.a IS 'x'", Before, &[]),
            ("ALTER TABLE big SET (fillfactor = 90)", Before, &[]),
            ("ALTER TABLE big ALTER a SET STATISTICS 500", Before, &[]),
            ("CREATE STATISTICS st ON a, b FROM big", Before, &[]),
            ("GRANT SELECT ON big TO PUBLIC", Before, &[]),
            ("CREATE EXTENSION IF NOT EXISTS pg_trgm", Before, &[]),
            (
                "INSERT INTO small (a) VALUES ('x') ON CONFLICT DO NOTHING",
                Before,
                &[],
            ),
            ("INSERT INTO small (a) SELECT a FROM big", Before, &[]),
            ("INSERT INTO big (a) SELECT a FROM big", Before, &[]),
            ("INSERT INTO big (nn) SELECT 1", Before, &[]),
            (
                "INSERT INTO big (nn) SELECT b FROM big WHERE b BETWEEN 1 AND 50",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc')",
                Before,
                &[],
            ),
            (
                "ALTER TABLE big ADD COLUMN c jsonb NOT NULL DEFAULT jsonb_build_object('a', 1)",
                Before,
                &[],
            ),
            ("SELECT count(*) FROM big", Before, &[]),
            ("SET search_path TO shop, public", Before, &[]),
            ("VACUUM ANALYZE big", Before, &[]),
            ("REFRESH MATERIALIZED VIEW CONCURRENTLY mv", Before, &[]),
            ("REINDEX INDEX CONCURRENTLY big_b", Before, &[]),
            ("DROP INDEX CONCURRENTLY big_broken", Before, &[]),
            ("DROP TABLE IF EXISTS gone", Before, &[]),
            ("CREATE INDEX IF NOT EXISTS big_b ON big (b)", Before, &[]),
            ("INSERT INTO small (id) VALUES (nextval('s'))", Before, &[]),
            ("SELECT id FROM small FOR UPDATE", Before, &[]),
            (
                "ALTER TABLE big ADD CONSTRAINT c CHECK (b > 0) NOT ENFORCED",
                Before,
                &[],
            ),
        ],
    );
}
