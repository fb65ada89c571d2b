//! Statements that the code of before does not bear.

use super::*;

#[test]
fn statement_of_after_is_known() {
    check(
        &shop(),
        &[
            ("ALTER TABLE big DROP COLUMN a", After, &["ban-drop-column"]),
            (
                "ALTER TABLE big RENAME COLUMN a TO a2",
                After,
                &["renaming-column"],
            ),
            ("ALTER TABLE big RENAME TO big2", After, &["renaming-table"]),
            ("DROP TABLE small", After, &["ban-drop-table"]),
            ("DROP VIEW v", After, &["ban-drop-view"]),
            ("DROP TYPE mood", After, &["ban-drop-type"]),
            (
                "DROP INDEX big_b",
                After,
                &["ban-drop-index", "require-concurrent-index-deletion"],
            ),
            ("DROP INDEX CONCURRENTLY big_b", After, &["ban-drop-index"]),
            ("DROP COLLATION c", After, &["drop-object"]),
            (
                "ALTER TABLE big ALTER COLUMN a DROP DEFAULT",
                After,
                &["ban-drop-default"],
            ),
            (
                "ALTER TABLE big ADD CONSTRAINT ck CHECK (b > 0) NOT VALID",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD CONSTRAINT fk FOREIGN KEY (b) REFERENCES small(id) NOT VALID",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD CONSTRAINT nn NOT NULL b NOT VALID",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD CONSTRAINT u UNIQUE USING INDEX big_uq",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "CREATE UNIQUE INDEX CONCURRENTLY i ON big (b)",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big DROP CONSTRAINT u_b",
                After,
                &["ban-drop-constraint"],
            ),
            (
                "CREATE TRIGGER tg BEFORE UPDATE ON big FOR EACH ROW EXECUTE FUNCTION f()",
                After,
                &["create-trigger"],
            ),
            ("DROP TRIGGER tg ON big", After, &["ban-drop-trigger"]),
            (
                "CREATE RULE r AS ON INSERT TO big DO ALSO NOTHING",
                After,
                &["create-rule"],
            ),
            (
                "ALTER TABLE big ENABLE ROW LEVEL SECURITY",
                After,
                &["ban-alter-row-level-security"],
            ),
            (
                "CREATE POLICY p ON big USING (true)",
                After,
                &["ban-create-policy"],
            ),
            ("REVOKE SELECT ON big FROM PUBLIC", After, &["ban-revoke"]),
            ("ALTER TABLE big OWNER TO x", After, &["ban-revoke"]),
            (
                "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
                After,
                &["renaming-object"],
            ),
            (
                "ALTER TABLE big DETACH PARTITION p1 CONCURRENTLY",
                After,
                &["ban-detach-inheritance"],
            ),
            (
                "ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "DROP VIEW v; CREATE VIEW v AS SELECT 1 AS one",
                After,
                &["recreate"],
            ),
            // A table that is rewritten in no time still has another type.
            (
                "ALTER TABLE small ALTER COLUMN b TYPE bigint",
                After,
                &["changes-type"],
            ),
            (
                "ALTER TABLE small ADD CONSTRAINT u UNIQUE (b)",
                After,
                &["ban-new-write-restriction"],
            ),
            (
                "CREATE UNIQUE INDEX i ON small (b)",
                After,
                &["ban-new-write-restriction"],
            ),
        ],
    );
}
