//! The template of AWS SAM.

use stagelink_tests::root;

use crate::tools::command;

#[tokio::test]
async fn template_passes_cfn_lint() {
    let output = command("cfn-lint")
        .await
        .arg("aws/template.yaml")
        .output()
        .await
        .expect("cfn-lint runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}");
}

#[test]
fn template_holds_each_function_and_no_secret() {
    let text = std::fs::read_to_string(root().join("aws/template.yaml")).expect("a template");
    let functions = std::fs::read_dir(root().join("functions")).expect("a folder");
    for function in functions {
        let name = function.expect("a folder").file_name();
        let artifact = format!("/{}.zip", name.to_string_lossy());
        assert!(text.contains(&artifact), "{artifact}");
    }
    let secret = text.lines().find(|line| line.contains("HEROKU_API_KEY:"));
    assert!(secret.is_some_and(|line| line.contains("{{resolve:secretsmanager:")));
}
