//! Statements of everyday migrations, as the generators of other tools write them, which no rule may
//! refuse or let wait.

use super::*;

#[test]
fn everyday_statement_is_before() {
    let statements = [
        // Objects with names of their own.
        "CREATE TABLE \"users\" (\"id\" bigserial primary key, \"email\" character varying NOT NULL, \
         \"created_at\" timestamp(6) NOT NULL)",
        "CREATE TYPE \"Role\" AS ENUM ('USER', 'ADMIN')",
        "CREATE TABLE \"User\" (\"id\" SERIAL NOT NULL, \"role\" \"Role\" NOT NULL DEFAULT 'USER', \
         CONSTRAINT \"User_pkey\" PRIMARY KEY (\"id\")); CREATE UNIQUE INDEX \"User_role_key\" ON \
         \"User\"(\"role\")",
        "CREATE TABLE IF NOT EXISTS \"posts\" (\"id\" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL)",
        "CREATE SCHEMA IF NOT EXISTS reporting",
        "CREATE TABLE reporting.big (id int)",
        "CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%')",
        "CREATE SEQUENCE invoice_numbers START 1000",
        "CREATE VIEW active AS SELECT id FROM small WHERE b = 1",
        "CREATE MATERIALIZED VIEW daily AS SELECT count(*) AS n FROM small",
        "CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\"",
        // Functions.
        "CREATE OR REPLACE FUNCTION set_updated_at() RETURNS TRIGGER AS $$ BEGIN NEW.a = now(); RETURN \
         NEW; END; $$ LANGUAGE plpgsql",
        "CREATE FUNCTION slugify(v text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(v) $$",
        "CREATE OR REPLACE FUNCTION diesel_manage_updated_at(_tbl regclass) RETURNS VOID AS $$ BEGIN \
         EXECUTE 'x'; END; $$ LANGUAGE plpgsql",
        "CREATE FUNCTION full_name(who small) RETURNS text LANGUAGE sql AS $$ SELECT who.a $$",
        "CREATE PROCEDURE archive(days int) LANGUAGE plpgsql AS 'BEGIN END'",
        "CREATE AGGREGATE first_of (int) (SFUNC = int4larger, STYPE = int)",
        // Rows that are chosen.
        "UPDATE small SET a = 'x' WHERE a IS NULL",
        "INSERT INTO small (a) SELECT 'x' WHERE NOT EXISTS (SELECT 1 FROM small WHERE a = 'x'); ALTER TABLE \
         small ADD COLUMN c int DEFAULT 1",
        // Columns, domains and indexes.
        "ALTER TABLE \"small\" ADD \"role\" integer DEFAULT 0 NOT NULL",
        "ALTER TABLE small ALTER COLUMN v TYPE varchar(255)",
        "ALTER TABLE small ALTER COLUMN v SET DATA TYPE text",
        "ALTER TABLE big ALTER COLUMN v TYPE varchar(255), ALTER COLUMN n TYPE numeric(12, 2)",
        "ALTER TABLE big ADD COLUMN c positive[]",
        "ALTER TABLE big ADD COLUMN org int REFERENCES small (id)",
        "CREATE INDEX \"small_a_idx\" ON \"small\"(\"a\")",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS index_big_on_a ON big USING btree (a)",
        "ALTER INDEX big_b SET (fillfactor = 70)",
        "ALTER TABLE small ADD CONSTRAINT small_b_check CHECK (b > 0) NOT ENFORCED",
        "CREATE TABLE copy AS SELECT * FROM small; CREATE INDEX ON copy (id)",
        "ALTER TABLE small VALIDATE CONSTRAINT fk",
        // Objects that are not there.
        "DROP TYPE IF EXISTS nope",
        "DROP DOMAIN IF EXISTS nope",
        "DROP SEQUENCE IF EXISTS nope",
        "DROP TRIGGER IF EXISTS nope ON big",
        "DROP TRIGGER IF EXISTS nope ON nope",
        "DROP POLICY IF EXISTS nope ON nope",
    ];
    let table: Vec<(&str, Class, &[&str])> = statements.map(|sql| (sql, Before, &[][..])).to_vec();
    check(&shop(), &table);
    check(
        &shop(),
        &[
            ("DROP TYPE IF EXISTS mood", After, &["ban-drop-type"]),
            (
                "DROP DOMAIN IF EXISTS positive",
                After,
                &["ban-drop-domain"],
            ),
            ("DROP SEQUENCE IF EXISTS p", After, &["ban-drop-sequence"]),
            (
                "DROP POLICY IF EXISTS nope ON big",
                After,
                &["ban-drop-policy"],
            ),
        ],
    );
}
