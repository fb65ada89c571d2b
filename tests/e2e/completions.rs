//! `stagelink completions`: the scripts, as shells run them.

use std::process::Stdio;

use stagelink_tests::stagelink_command;
use tokio::process::Command;

/// Returns the script for a shell.
async fn script(shell: &str) -> String {
    let output = Command::new(stagelink_command().await)
        .args(["completions", shell])
        .env_clear()
        .output()
        .await
        .expect("the command runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8(output.stdout).expect("a text")
}

/// Returns what bash completes a line with, whose last word is the one at the cursor.
async fn complete_in_bash(script: &str, words: &[&str]) -> Vec<String> {
    // What `complete` has registered for the command, as an interactive bash calls it.
    let complete = r#"
        set -eu
        source <(printf '%s' "$SCRIPT")
        read -r function _ < <(complete -p stagelink | sed 's/.* -F //')
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        COMP_LINE="$*"
        COMP_POINT=${#COMP_LINE}
        "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", complete, "bash"])
        .args(words)
        .env("SCRIPT", script)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("bash runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    let text = String::from_utf8(output.stdout).expect("a text");
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[tokio::test]
async fn bash_completes_commands_options_and_values() {
    let script = script("bash").await;
    for (words, expected) in [
        (&["stagelink", "mig"][..], "migrate"),
        (&["stagelink", "mark", "se"], "set"),
        (&["stagelink", "migrate", "--pl"], "--plan"),
        (&["stagelink", "migrate", "--allow", "mis"], "missing"),
        // By a path bash looks for the last part of it.
        (&["scripts/stagelink", "link", "--token-f"], "--token-for"),
    ] {
        assert_eq!(complete_in_bash(&script, words).await, [expected]);
    }
    let commands = complete_in_bash(&script, &["stagelink", ""]).await;
    for command in ["dev", "build", "link", "mark", "migrate", "completions"] {
        assert!(commands.contains(&command.to_owned()), "{commands:?}");
    }
}

#[tokio::test]
async fn other_shells_have_a_script_of_their_own() {
    for (shell, line) in [
        ("zsh", "#compdef stagelink"),
        ("fish", "complete -c stagelink"),
        (
            "powershell",
            "Register-ArgumentCompleter -Native -CommandName 'stagelink'",
        ),
    ] {
        let script = script(shell).await;
        assert!(script.contains(line), "{shell}: {script}");
    }
    let unknown = Command::new(stagelink_command().await)
        .args(["completions", "tcsh"])
        .output()
        .await
        .expect("the command runs");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("bash"));
}
