//! Files that change their session: the encoding, the role, the access mode, the lock of migrations.

use stagelink_tests::as_superuser;

use super::Project;

#[tokio::test]
async fn encoding_that_a_file_sets_damages_neither_rows_nor_history() {
    let project = Project::with(&[(
        "V1__größe.sql",
        "SELECT set_config('client_encoding', 'LATIN1', false);\n\
         CREATE TABLE a (t text);\nINSERT INTO a VALUES ('é');\n\
         SELECT set_config('client_encoding', 'LATIN1', true);",
    )])
    .await;
    assert_eq!(project.applied().await, ["V1__größe"]);
    assert_eq!(project.rows("SELECT t FROM a").await, ["é"]);
    assert_eq!(project.history().await, ["V1__größe"]);
    project.write("V2__é.sql", "INSERT INTO a VALUES ('ß')");
    assert_eq!(project.applied().await, ["V2__é"]);
    assert_eq!(project.rows("SELECT t FROM a ORDER BY t").await, ["é", "ß"]);
}

#[tokio::test]
async fn file_that_sets_a_role_is_recorded_as_the_role_of_the_session() {
    let project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a ()"),
        ("V2__b.sql", "SET ROLE other; SELECT 1;"),
    ])
    .await;
    let role = project.database.role();
    let other = format!("{role}_other");
    as_superuser(&format!("CREATE ROLE {other}; GRANT {other} TO {role}")).await;
    let mut applied = Vec::new();
    for (name, sql) in [
        ("V2__b.sql", format!("SET ROLE {other}; SELECT 1;")),
        ("V3__c.sql", format!("SET LOCAL ROLE {other}; SELECT 1;")),
    ] {
        project.write(name, &sql);
        applied.extend(project.applied().await);
    }
    assert_eq!(applied, ["V1__a", "V2__b", "V3__c"]);
    let by = "SELECT DISTINCT role FROM stagelink_migration_records";
    assert_eq!(project.rows(by).await, [role]);
    as_superuser(&format!("DROP ROLE {other}")).await;
}

#[tokio::test]
async fn file_that_makes_its_transaction_read_only_is_told_so() {
    let project =
        Project::with(&[("V1__a.sql", "SET transaction_read_only = on; SELECT 1;")]).await;
    let text = project.refused().await;
    for part in [
        "V1__a.sql: the file could not be recorded, since the file makes its transaction read-only",
        "it was rolled back, and left nothing",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn file_that_gives_the_lock_back_is_told_so_and_not_recorded() {
    for (sql, words) in [
        ("SELECT pg_advisory_unlock_all();", "left nothing"),
        (
            "-- stagelink: no transaction\nSELECT pg_advisory_unlock_all();",
            "was applied, and is not recorded, so the next run begins it again",
        ),
    ] {
        let project = Project::with(&[("V1__a.sql", sql)]).await;
        let text = project.refused().await;
        assert!(text.contains("since the file gave it back"), "{text}");
        assert!(text.contains(words), "{text}");
        assert!(project.history().await.is_empty());
        project.write("V1__a.sql", "SELECT 1");
        assert_eq!(project.applied().await, ["V1__a"]);
    }
}
