//! Changes of the schema beside event triggers: one that only notifies, as PostgREST's, and others.

use stagelink_local_postgres::{Database, Server};
use stagelink_pipeline::{Class, TargetFacts, judge_files, split_statements};

use super::{EMPTY, TABLE};

/// The functions of event triggers, each with its event and the class of a change of the schema beside it.
const CASES: [(&str, &str, Class); 5] = [
    (
        "ddl_command_end",
        "BEGIN NOTIFY pgrst, 'reload schema'; END",
        Class::Before,
    ),
    (
        "ddl_command_end",
        "DECLARE cmd record; BEGIN
         FOR cmd IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
             IF cmd.command_tag IN ('CREATE TABLE', 'ALTER TABLE') AND cmd.schema_name IS DISTINCT FROM 'pg_temp' THEN
                 NOTIFY pgrst, 'reload schema';
             END IF;
         END LOOP; END",
        Class::Before,
    ),
    (
        "sql_drop",
        "DECLARE obj record; BEGIN
         FOR obj IN SELECT * FROM pg_event_trigger_dropped_objects() LOOP
             IF obj.object_type IN ('schema', 'table') AND obj.is_temporary IS false THEN
                 PERFORM pg_notify('pgrst', 'reload schema');
             END IF;
         END LOOP; END",
        Class::Before,
    ),
    (
        "ddl_command_end",
        "BEGIN EXECUTE 'SELECT 1'; END",
        Class::Ask,
    ),
    (
        "ddl_command_end",
        "BEGIN PERFORM nextval('drawn'); END",
        Class::Ask,
    ),
];

const MIGRATION: &str = "ALTER TABLE t ADD COLUMN c int";

pub(super) async fn check(server: &Server, database: &Database) {
    let client = server.connect_as_superuser_to(database).await;
    let client = client.expect("a session");
    let there = format!("{EMPTY} {TABLE} CREATE SEQUENCE drawn;");
    client.batch_execute(&there).await.expect("the tables");
    for (event, body, class) in CASES {
        let made = format!(
            "CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $q$ {body} $q$;
             CREATE EVENT TRIGGER on_ddl ON {event} EXECUTE FUNCTION on_ddl();"
        );
        client.batch_execute(&made).await.expect(body);
        let facts = TargetFacts::ask(&client).await.expect("the facts");
        let file = split_statements(MIGRATION).expect("a statement");
        let judged = judge_files(&[&file], &facts).remove(0);
        assert_eq!(judged.class, class, "{body}: {judged:?}");
        let applied = format!("BEGIN; {MIGRATION}; INSERT INTO t (id) VALUES (2); ROLLBACK");
        client.batch_execute(&applied).await.expect(body);
        let gone = "DROP EVENT TRIGGER on_ddl; DROP FUNCTION on_ddl";
        client.batch_execute(gone).await.expect(gone);
    }
    client.batch_execute("DROP TABLE t, e").await.expect("none");
}
