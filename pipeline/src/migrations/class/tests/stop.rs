//! Statements that keep the users of a table waiting.

use super::*;

#[test]
fn statement_that_stops_is_known() {
    check(
        &shop(),
        &[
            (
                "ALTER TABLE big ADD COLUMN c uuid DEFAULT gen_random_uuid()",
                Stop,
                &["adding-field-with-default"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c uuid[] DEFAULT ARRAY[gen_random_uuid()]",
                Stop,
                &["adding-field-with-default"],
            ),
            // A session that inserts one of the same keys would wait for the end.
            (
                "INSERT INTO big (nn) SELECT b FROM big",
                Stop,
                &["backfill"],
            ),
            ("INSERT INTO big SELECT * FROM big", Stop, &["backfill"]),
            (
                "ALTER TABLE big ADD COLUMN c int NOT NULL",
                Stop,
                &["adding-required-field"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int NOT NULL DEFAULT NULL",
                Stop,
                &["adding-required-field"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int GENERATED ALWAYS AS (id * 2) STORED",
                Stop,
                &["adding-field-with-default", "ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int GENERATED ALWAYS AS IDENTITY",
                Stop,
                &["adding-field-with-default"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c serial",
                Stop,
                &["serial-column"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c positive",
                Stop,
                &["ban-new-write-restriction", "domain-column"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int UNIQUE",
                Stop,
                &["add-column-with-constraint"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int CHECK (c > 0)",
                Stop,
                &["add-column-with-constraint"],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int DEFAULT 1 REFERENCES small (id)",
                Stop,
                &["add-column-with-constraint", "ban-new-write-restriction"],
            ),
            (
                "CREATE INDEX big_a ON big (a)",
                Stop,
                &["require-concurrent-index-creation"],
            ),
            (
                "CREATE UNIQUE INDEX i ON big (a)",
                Stop,
                &[
                    "ban-new-write-restriction",
                    "require-concurrent-index-creation",
                ],
            ),
            (
                "ALTER TABLE big ALTER COLUMN b TYPE bigint",
                Stop,
                &["changes-type", "changing-column-type"],
            ),
            (
                "ALTER TABLE big ALTER COLUMN v TYPE varchar(50)",
                Stop,
                &["changing-column-type"],
            ),
            (
                "ALTER TABLE big ALTER COLUMN v TYPE text USING lower(v)",
                Stop,
                &["changing-column-type"],
            ),
            (
                "ALTER TABLE big ALTER COLUMN v TYPE text COLLATE \"C\"",
                Stop,
                &["changing-column-type"],
            ),
            // Its CHECK is checked again.
            (
                "ALTER TABLE big ALTER COLUMN w TYPE varchar(200)",
                Stop,
                &["changing-column-type"],
            ),
            (
                "ALTER TABLE big ALTER COLUMN b SET NOT NULL",
                Stop,
                &["adding-not-nullable-field", "ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD CONSTRAINT ck CHECK (b > 0)",
                Stop,
                &["ban-new-write-restriction", "constraint-missing-not-valid"],
            ),
            (
                "ALTER TABLE big ADD CONSTRAINT fk FOREIGN KEY (b) REFERENCES small(id)",
                Stop,
                &["adding-foreign-key-constraint", "ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD CONSTRAINT u UNIQUE (id, b)",
                Stop,
                &["ban-new-write-restriction", "disallowed-unique-constraint"],
            ),
            (
                "ALTER TABLE big ADD PRIMARY KEY (id)",
                Stop,
                &[
                    "adding-serial-primary-key-field",
                    "ban-new-write-restriction",
                ],
            ),
            (
                "ALTER TABLE big ADD PRIMARY KEY USING INDEX big_b",
                Stop,
                &["adding-not-nullable-field", "ban-new-write-restriction"],
            ),
            (
                "ALTER TABLE big ADD EXCLUDE USING btree (id WITH =)",
                Stop,
                &["ban-new-write-restriction", "constraint-missing-not-valid"],
            ),
            ("UPDATE big SET b = b + 1", Stop, &["backfill"]),
            ("DELETE FROM big", Stop, &["backfill", "deletes-rows"]),
            ("TRUNCATE small", Stop, &["truncate"]),
            ("CLUSTER big USING big_b", Stop, &["rewrite-table"]),
            ("VACUUM (FULL) big", Stop, &["rewrite-table"]),
            ("ALTER TABLE big SET UNLOGGED", Stop, &["rewrite-table"]),
            ("REINDEX TABLE big", Stop, &["require-concurrent-reindex"]),
            (
                "REINDEX (CONCURRENTLY FALSE) TABLE big",
                Stop,
                &["require-concurrent-reindex"],
            ),
            ("LOCK TABLE big IN SHARE MODE", Stop, &["lock-table"]),
            ("LOCK big", Stop, &["lock-table"]),
            ("BEGIN", Stop, &["transaction-control"]),
            (
                "ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0)",
                Stop,
                &[
                    "ban-alter-domain-with-add-constraint",
                    "ban-new-write-restriction",
                ],
            ),
            (
                "ALTER TABLE big ADD COLUMN c int; ALTER TABLE big VALIDATE CONSTRAINT ck_a",
                Stop,
                &["long-work-under-lock"],
            ),
            (
                "ALTER TABLE p ATTACH PARTITION big FOR VALUES IN (1)",
                Stop,
                &["attach-partition", "inherit"],
            ),
        ],
    );
}
