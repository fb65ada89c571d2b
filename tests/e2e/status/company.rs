//! A company's own root of the providers' certificates.

use stagelink_tests::{Authority, TlsRelay};

use super::Project;

#[tokio::test]
async fn root_of_a_company_holds_for_all_requests_of_the_command() {
    let mut project = Project::new().await;
    project.mark().await;
    let authority = Authority::new("the company");
    let heroku = TlsRelay::start(project.heroku.url(), &authority.certify()).await;
    let netlify = TlsRelay::start(project.netlify.url(), &authority.certify()).await;
    for (name, relay) in [
        ("STAGELINK_HEROKU_API_URL", &heroku),
        ("NETLIFY_API_URL", &netlify),
    ] {
        let url = relay.url().to_owned();
        project.variables.insert(name.to_owned(), url);
    }
    let run = project.run(&["status", "--json"]).await;
    assert_ne!(run.code, Some(0), "{}", run.output);
    assert!(run.output.contains("certificate"), "{}", run.output);

    let roots = "STAGELINK_PROVIDER_ROOT_CERTIFICATES".to_owned();
    project.variables.insert(roots, authority.pem());
    let run = project.run(&["status", "--json"]).await;
    run.succeeds();
    assert!(!run.output.contains("certificate"), "{}", run.output);
}
