//! The settings of the operator's own connections, which functions get only where they need them.

use stagelink_local::netlify_api::Context;
use stagelink_tests::{Auth, Authority, OwnServer, TlsRelay};

use super::{Site, staging};
use crate::tls::on_p521;

const LIBRARY: &str = "STAGELINK_TLS_LIBRARY";
const ROOTS: &str = "STAGELINK_PROVIDER_ROOT_CERTIFICATES";

#[tokio::test]
async fn tls_library_of_the_operator_is_set_for_the_stages_that_need_it() {
    let mut site = Site::new().await;
    site.set(LIBRARY, "native-tls");
    site.link_successfully(&["--yes"]).await;
    assert!(!site.functions_in(&staging()).contains_key(LIBRARY));

    let server = OwnServer::start(&on_p521()).await;
    let url = server.database(Auth::Scram).await.url();
    site.heroku
        .set_config_var("shop-staging", "DATABASE_URL", &url)
        .expect("a config var");
    site.link_successfully(&["--yes"]).await;
    assert_eq!(site.functions_in(&staging())[LIBRARY], "native-tls");
    let production = site.functions_in(&Context::Production);
    assert!(!production.contains_key(LIBRARY));
}

#[tokio::test]
async fn root_of_a_company_is_for_the_operators_requests_alone() {
    let mut site = Site::new().await;
    let authority = Authority::new("the company");
    let heroku = TlsRelay::start(site.heroku.url(), &authority.certify()).await;
    site.set("STAGELINK_HEROKU_API_URL", heroku.url());
    site.set(ROOTS, &authority.pem());
    site.link_successfully(&["--yes"]).await;
    let functions = site.functions_in(&staging());
    assert!(functions.contains_key("STAGELINK_CREDENTIALS"));
    assert!(!functions.contains_key(ROOTS));
}
