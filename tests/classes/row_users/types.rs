//! A column's type that becomes wider beside functions of the database.

use super::{Case, after, before};

const TO_TEXT: &str = "ALTER TABLE t ALTER COLUMN v TYPE text";

pub(super) const CASES: &[Case] = &[
    before("ALTER TABLE t ADD v varchar(10);", TO_TEXT, "SELECT v FROM t"),
    before(
        "ALTER TABLE t ADD v varchar(10);",
        "ALTER TABLE t ALTER COLUMN v TYPE varchar(20)",
        "SELECT v FROM t",
    ),
    after(
        "ALTER TABLE t ADD v varchar(10);
         CREATE FUNCTION names() RETURNS TABLE (n varchar) LANGUAGE plpgsql AS
             'BEGIN RETURN QUERY SELECT v FROM t; END';",
        TO_TEXT,
        "SELECT n FROM names()",
    ),
    after(
        "ALTER TABLE t ADD v varchar(10) DEFAULT 'x';
         CREATE FUNCTION told(varchar) RETURNS text LANGUAGE sql AS 'SELECT ''varchar''::text';
         CREATE FUNCTION told(text) RETURNS text LANGUAGE sql AS 'SELECT ''text''::text';",
        TO_TEXT,
        "SELECT told(v) FROM t",
    ),
    after(
        "ALTER TABLE t ADD v varchar(10); CREATE TYPE one AS (v varchar(10)); CREATE TABLE ones OF one;
         CREATE FUNCTION all_ones() RETURNS SETOF ones LANGUAGE plpgsql AS
             'BEGIN RETURN QUERY SELECT v FROM t; END';",
        "ALTER TABLE t ALTER COLUMN v TYPE varchar(20)",
        "SELECT v FROM all_ones()",
    ),
    before(
        "ALTER TABLE t ADD v varchar(10);
         CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM e';",
        TO_TEXT,
        "SELECT counted()",
    ),
];
