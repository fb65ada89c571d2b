//! The runner of the test kit, which is small, beside that of the pipeline: both make the same schema of the
//! same files, and refuse the same names.

use std::fs;

use stagelink_local_postgres::Database as OwnDatabase;
use stagelink_pipeline::MigrationFolder;
use stagelink_test::migrate;
use stagelink_tests::{database, root, server};

use super::{Project, texts};

/// The columns, constraints, indexes, functions and labels of a schema, without the tables of a history.
const SCHEMA: &str = "
    SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default)
    FROM information_schema.columns WHERE table_schema = 'public'
        AND table_name NOT IN (SELECT relname FROM pg_class WHERE relname ~ 'stagelink_|refinery')
    UNION ALL
    SELECT concat_ws(' ', conname, pg_get_constraintdef(oid)) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conname !~ 'stagelink_|refinery'
    UNION ALL
    SELECT indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename !~ 'stagelink_|refinery'
    UNION ALL
    SELECT prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT enumlabel FROM pg_enum
    UNION ALL
    SELECT concat_ws(' ', tablename, tableowner = current_user) FROM pg_tables
    WHERE schemaname = 'public' AND tablename !~ 'stagelink_|refinery'
    ORDER BY 1";

async fn schema(database: &OwnDatabase) -> Vec<String> {
    let session = server().await.connect(database).await;
    texts(&session.expect("a session"), SCHEMA).await
}

async fn ensure_same_schema(project: &Project) {
    project.applied().await;
    let by_kit = database().await;
    let url = by_kit.url();
    let migrated = migrate(
        [
            ("STAGELINK_STAGE", "staging"),
            ("STAGELINK_PROVIDER", "url"),
            ("DATABASE_URL", &url),
        ],
        project.root().join("migrations"),
    );
    migrated.await.expect("it is migrated");
    let expected = schema(&project.database).await;
    assert!(expected.len() > 5, "{expected:?}");
    assert_eq!(schema(&by_kit).await, expected);
}

#[tokio::test]
async fn test_kit_makes_the_schema_that_the_runner_makes() {
    let project = Project::with(&[
        (
            "V1__a.sql",
            "CREATE TYPE mood AS ENUM ('sad');\n\
             CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, b text NOT NULL);\n\
             SET search_path = pg_catalog;\n",
        ),
        ("V2__index.sql", "-- Alone.\nCREATE INDEX CONCURRENTLY a_b ON a (b);\n"),
        ("V3__mood.sql", "ALTER TYPE mood ADD VALUE 'happy'"),
        (
            "V10__f.sql",
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;",
        ),
        (
            "V9__c.sql",
            "CREATE TABLE c (m mood DEFAULT 'happy', a bigint REFERENCES a (id));\n\
             ALTER TABLE a ADD CHECK (b <> '');\n",
        ),
    ])
    .await;
    ensure_same_schema(&project).await;
}

#[tokio::test]
async fn test_kit_makes_the_schema_of_the_guestbook() {
    let project = Project::new().await;
    for entry in fs::read_dir(root().join("migrations")).expect("a folder") {
        let path = entry.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        project.write(&name, &fs::read_to_string(&path).expect("a text"));
    }
    ensure_same_schema(&project).await;
}

/// There is no database: a folder that can be used fails at the connection.
#[tokio::test]
async fn test_kit_refuses_the_names_that_the_runner_refuses() {
    for name in [
        "V1__a.sql",
        "V01__a_b.sql",
        "V1__é.sql",
        "V1_a.sql",
        "1__a.sql",
        "v1__a.sql",
        "V1__a-b.sql",
        "V1__.sql",
        "V__a.sql",
        "V1.5__a.sql",
        "V1__a.SQL",
        "V1__a.txt",
        ".V1_a.sql",
        "a.sql",
        "U1__a.sql",
        "V9223372036854775808__a.sql",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(name), "SELECT 1").expect("a file");
        let is_refused = MigrationFolder::read(folder.path()).is_err();
        let error = migrate([("STAGELINK_STAGE", "staging")], folder.path()).await;
        let error = error.expect_err("there is no database").to_string();
        let is_refused_by_kit = !error.contains("cannot be reached");
        assert_eq!(is_refused_by_kit, is_refused, "{name}: {error}");
    }
}
