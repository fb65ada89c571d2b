//! A stage that is called as a command of `stagelink migrate` is.

use crate::status::Project;

#[tokio::test]
async fn stage_that_is_called_as_a_command_is_reached_by_its_written_form_which_is_noted() {
    let mut project = Project::new().await;
    project.write(
        "stagelink.toml",
        "[stages.drift]\nkind = \"staging\"\nurl.variable = \"DRIFT_URL\"\n\
         [stages.new]\nkind = \"development\"\n",
    );
    project.write("migrations/V1__notes.sql", "CREATE TABLE notes ();\n");
    let url = project.staging.url();
    project.set("DRIFT_URL", &url);
    let notes = [
        "! stage drift is called as a command of `stagelink migrate`: write `stagelink migrate \
         staging/drift` for it",
        "write `stagelink migrate development/new` for it",
    ];
    for words in [
        &["migrate", "staging/drift", "--yes"][..],
        &["doctor", "drift", "--concurrency", "5"],
        &["status", "drift", "--json"],
        // The command: its stage is that of the environment.
        &["migrate", "drift", "drift"],
    ] {
        let run = project.run(words).await;
        for note in notes {
            let count = run.errors.matches(note).count();
            assert_eq!(count, 1, "{words:?}: {}", run.errors);
        }
        assert!(!run.output.contains("is called as"), "{}", run.output);
        if words[0] == "migrate" {
            run.succeeds();
        }
    }
    // A stage of another name is not spoken of.
    project.write(
        "stagelink.toml",
        "[stages.drifts]\nkind = \"staging\"\nurl.variable = \"DRIFT_URL\"\n",
    );
    let run = project.run(&["status", "drifts"]).await;
    assert!(!run.errors.contains("is called as"), "{}", run.errors);
}
