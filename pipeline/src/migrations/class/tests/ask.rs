//! Statements that a person has to judge.

use super::*;

#[test]
fn statement_that_asks_is_known() {
    check(
        &shop(),
        &[
            (
                "DO $$ BEGIN EXECUTE 'ALTER TABLE big DROP COLUMN a'; END $$",
                Ask,
                &["runs-code"],
            ),
            ("CALL p()", Ask, &["runs-code"]),
            ("SELECT f()", Ask, &["runs-code"]),
            (
                "CREATE TABLE n AS SELECT f() AS a FROM big",
                Ask,
                &["runs-code"],
            ),
            ("SELECT id FROM big FOR UPDATE", Ask, &["data-change"]),
            ("SELECT setval('s', 5)", Ask, &["runs-code"]),
            ("alter table big add colum x text", Ask, &["syntax-error"]),
            ("UPDATE big SET b = 1 WHERE id = 5", Ask, &["data-change"]),
            (
                "WITH x AS (DELETE FROM big WHERE b = 1 RETURNING *) INSERT INTO small SELECT * FROM x",
                Ask,
                &["data-change", "deletes-rows"],
            ),
            (
                "CREATE OR REPLACE VIEW v AS SELECT id FROM big",
                Ask,
                &["ban-replace-view-function"],
            ),
            (
                "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                Ask,
                &["ban-replace-view-function"],
            ),
            ("SET lock_timeout = 0", Ask, &["runner-setting"]),
            ("SET ROLE x", Ask, &["runner-setting"]),
            ("RESET ALL", Ask, &["runner-setting"]),
            (
                "ALTER SEQUENCE s RESTART WITH 5",
                Ask,
                &["ban-alter-sequence-values"],
            ),
            (
                "CREATE CAST (text AS int) WITH INOUT",
                Ask,
                &["unknown-statement"],
            ),
            (
                "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()",
                Ask,
                &["unknown-statement"],
            ),
            ("CHECKPOINT", Ask, &["unknown-statement"]),
        ],
    );
}
