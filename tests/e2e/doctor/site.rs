//! Findings about the Netlify site: its link, its values, tokens, locks and clock.

use std::time::{Duration, SystemTime};

use stagelink_local::heroku::{Access, Heroku};
use stagelink_local::netlify_api::{Context, EnvVar, NetlifyApi};
use stagelink_local_postgres::Database;
use stagelink_tests::{Answer, ShopClouds, send};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Examined, FEW, Patient};

/// A linked site, with a pipeline whose staging and production have databases.
pub(super) struct Linked {
    pub(super) patient: Patient,
    pub(super) heroku: Heroku,
    pub(super) netlify: NetlifyApi,
    staging: Database,
    production: Database,
}

impl Linked {
    /// Makes a pipeline and a site that is not linked yet.
    pub(super) async fn unlinked() -> Self {
        let clouds = ShopClouds::with_addons().await;
        let mut patient = Patient::without_stages();
        patient.write(
            "stagelink.toml",
            "netlify.site = \"shop-site\"\nheroku.pipeline = \"shop\"\n[stages.staging]\n\
             [stages.production]\n",
        );
        for (name, value) in clouds.variables() {
            patient.set(name, &value);
        }
        let ShopClouds {
            heroku,
            netlify,
            staging,
            production,
        } = clouds;
        patient.forbid(heroku.api_key());
        patient.forbid(netlify.token());
        for stage in ["staging", "production"] {
            patient.succeeds(&["mark", "set", "--stage", stage]).await;
        }
        Self {
            patient,
            heroku,
            netlify,
            staging,
            production,
        }
    }

    pub(super) async fn new() -> Self {
        let linked = Self::unlinked().await;
        linked.patient.succeeds(&["link", "--yes"]).await;
        linked
    }

    pub(super) async fn examine(&self, words: &[&str]) -> Examined {
        let words = [&["doctor", "--json"][..], &FEW, words].concat();
        self.patient.examine_with(&words).await
    }

    /// Creates a token for these apps, and sets a variable of the operator's to it.
    pub(super) fn token(&mut self, name: &str, apps: &[&str]) -> String {
        let apps = apps.iter().map(|&app| app.to_owned()).collect();
        let token = self.heroku.create_token(&Access::Apps(apps));
        let token = token.expect("a token");
        self.patient.forbid(&token);
        self.patient.set(name, &token);
        token
    }

    fn set(&self, variable: EnvVar) {
        let set = self.netlify.set_variable("shop-site", variable);
        set.expect("the site");
    }

    /// Removes a variable of the site, as `netlify env:unset` does.
    async fn unset(&self, key: &str) {
        let path = format!(
            "/accounts/{}/env/{key}?site_id=shop-site",
            self.netlify.account()
        );
        self.call("DELETE", &path, "").await;
    }

    /// Sends a request to Netlify's API.
    async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        let url = format!("{}/api/v1{path}", self.netlify.url());
        let token = format!("Bearer {}", self.netlify.token());
        let headers = [
            ("authorization", &*token),
            ("content-type", "application/json"),
        ];
        let answer = send(method, &url, &headers, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.status);
        answer
    }
}

pub(super) const OF_SITE: [&str; 7] = [
    "site",
    "linked",
    "token-reach",
    "leftover-url",
    "variables-size",
    "deploys-locked",
    "deploys-by-api",
];

fn staging() -> Context {
    Context::Branch("staging".to_owned())
}

#[tokio::test]
async fn site_is_linked_as_advised_and_sound_then() {
    let linked = Linked::unlinked().await;
    let examined = linked.examine(&[]).await;
    let words = ["deploy-preview (stage review), branch:staging (stage staging)"];
    let advice = examined.finding("linked", "warning", &words);
    linked.patient.follow(&advice).await;
    let examined = linked.examine(&[]).await;
    // No deploy is published yet.
    examined.assert_not_checked("deploys-locked", "has no published deploy");
    for id in OF_SITE.into_iter().filter(|id| *id != "deploys-locked") {
        examined.assert_sound(id);
    }
    examined.assert_sound("clock");
    assert_eq!(
        examined.of("clock").len(),
        2 + 1,
        "two servers, and the services"
    );
}

#[tokio::test]
async fn site_that_cannot_be_read_is_not_called_sound() {
    let mut linked = Linked::new().await;
    let (url, token) = (
        linked.netlify.url().to_owned(),
        linked.netlify.token().to_owned(),
    );
    linked.patient.set("NETLIFY_AUTH_TOKEN", "nfp_none");
    let examined = linked.examine(&[]).await;
    let advice = examined.finding("site", "error", &["refused the token"]);
    assert!(advice.contains("netlify login"), "{advice}");
    examined.assert_not_checked("leftover-url", "the site was not read");
    linked.patient.set("NETLIFY_AUTH_TOKEN", &token);
    let examined = linked.examine(&["--site", "other-site"]).await;
    let advice = examined.finding("site", "error", &["other-site"]);
    assert!(advice.contains("netlify.site"), "{advice}");
    linked.patient.set("NETLIFY_API_URL", "http://127.0.0.1:9");
    linked
        .examine(&[])
        .await
        .assert_not_checked("site", "could not reach");
    linked.patient.set("NETLIFY_API_URL", &url);
    linked.patient.unset("NETLIFY_AUTH_TOKEN");
    let examined = linked.examine(&[]).await;
    examined.assert_not_checked("site", "NETLIFY_AUTH_TOKEN is not set");
    examined.assert_not_checked("token-reach", "the site was not read");
    linked.patient.set("NETLIFY_AUTH_TOKEN", &token);
    linked.examine(&[]).await.assert_sound("site");
}

#[tokio::test]
async fn token_that_reads_more_than_its_stage_is_replaced_as_advised() {
    let mut linked = Linked::new().await;
    let wide = linked.token("WIDE", &["shop-staging", "shop-production"]);
    let narrow = linked.token("NARROW", &["shop-staging"]);
    linked.token("NONE", &[]);
    let key = |context, token: &str| EnvVar::new("HEROKU_API_KEY").value(context, token);
    for (variable, words) in [
        (
            key(staging(), &wide),
            [
                "stage staging have, reads production's",
                "app shop-production",
            ],
        ),
        (
            key(Context::DeployPreview, &narrow),
            ["stage review have, reads staging's", "app shop-staging"],
        ),
    ] {
        linked.set(variable);
        let examined = linked.examine(&[]).await;
        let advice = examined.finding("token-reach", "error", &words);
        assert_eq!(examined.code, 2);
        assert!(
            advice.contains("`netlify env:unset HEROKU_API_KEY`"),
            "{advice}"
        );
        linked.unset("HEROKU_API_KEY").await;
        linked.examine(&[]).await.assert_sound("token-reach");
    }
    // What is its own stage's, and production's own token.
    linked.set(key(staging(), &narrow).value(Context::Production, &wide));
    linked.examine(&[]).await.assert_sound("token-reach");

    // A secret cannot be read back, so its owner names the token.
    linked.set(key(staging(), &wide).secret());
    let examined = linked.examine(&[]).await;
    examined.assert_not_checked("token-reach", "it is a secret");
    let words = ["--token-for", "staging=WIDE"];
    let examined = linked.examine(&words).await;
    examined.finding(
        "token-reach",
        "error",
        &["the token in WIDE", "reads production's"],
    );
    linked
        .examine(&["--token-for", "staging=NARROW"])
        .await
        .assert_sound("token-reach");
    let examined = linked.examine(&["--token-for", "review=NARROW"]).await;
    examined.finding("token-reach", "error", &["reads staging's"]);
    let words = [
        "--token-for",
        "review=NONE",
        "--token-for",
        "staging=NARROW",
    ];
    linked.examine(&words).await.assert_sound("token-reach");
    // Production's own token may read production.
    let examined = linked.examine(&["--token-for", "production=WIDE"]).await;
    examined.assert_not_checked("token-reach", "it is a secret");
    assert!(
        !examined.found().contains(&"token-reach"),
        "{:?}",
        examined.found()
    );
    // Without an app of production in sight nothing was tried on it.
    linked.heroku.delete_app("shop-production").expect("an app");
    let examined = linked.examine(&words).await;
    examined.assert_not_checked("token-reach", "no app of stage production is visible");
}

#[tokio::test]
async fn leftover_url_is_removed_as_advised() {
    let linked = Linked::new().await;
    let url = |context, url: &str| EnvVar::new("DATABASE_URL").value(context, url);
    let (own, other) = (linked.staging.url(), linked.production.url());
    for (variable, level, word) in [
        (
            url(Context::All, &other),
            "error",
            "the database of stage production",
        ),
        (
            url(staging(), &own),
            "warning",
            "is left over, and reaches branch:staging",
        ),
        (
            url(Context::All, "postgres://u:c4n4ry@db.example/d"),
            "warning",
            "is left over",
        ),
        (url(staging(), &own).secret(), "warning", "is left over"),
    ] {
        linked.set(variable);
        let advice = linked
            .examine(&[])
            .await
            .finding("leftover-url", level, &[word]);
        assert!(
            advice.contains("`netlify env:unset DATABASE_URL`"),
            "{advice}"
        );
        linked.unset("DATABASE_URL").await;
        linked.examine(&[]).await.assert_sound("leftover-url");
    }
    // Where the project has chosen a fixed URL, it is the source.
    linked.set(EnvVar::new("STAGELINK_PROVIDER").value(staging(), "url"));
    linked.set(url(staging(), &own));
    linked.examine(&[]).await.assert_sound("leftover-url");
    linked
        .patient
        .examine("staging", &FEW)
        .await
        .assert_sound("leftover-url");
    // One that leads to production's is found where production is examined, and is else not known.
    linked.unset("DATABASE_URL").await;
    linked.set(url(staging(), &other));
    let words = ["the database of stage production"];
    linked
        .examine(&[])
        .await
        .finding("leftover-url", "error", &words);
    let examined = linked.patient.examine("staging", &FEW).await;
    examined.assert_not_checked("leftover-url", "that of stage production was not");
    linked.unset("DATABASE_URL").await;
    linked.set(url(staging(), &own).secret());
    let examined = linked.examine(&[]).await;
    examined.assert_not_checked("leftover-url", "is a secret");
}

#[tokio::test]
async fn variables_beyond_the_limit_are_removed_as_advised() {
    let linked = Linked::new().await;
    linked.set(EnvVar::new("PAGE").value(staging(), "x".repeat(5000)));
    let examined = linked.examine(&[]).await;
    let words = [
        "the context branch:staging",
        "AWS Lambda allows 4096",
        "PAGE 5004",
    ];
    let advice = examined.finding("variables-size", "warning", &words);
    assert!(advice.contains("remove the largest variables"), "{advice}");
    linked.unset("PAGE").await;
    linked.examine(&[]).await.assert_sound("variables-size");
}

#[tokio::test]
async fn lock_of_the_published_deploy_is_released_as_advised() {
    let linked = Linked::new().await;
    let path = "/sites/shop-site/deploys";
    let deploy = linked.call("POST", path, r#"{"draft":false}"#).await.json();
    let id = deploy["id"].as_str().expect("an id");
    let files = r#"{"files":{},"functions":{},"draft":false}"#;
    linked.call("PUT", &format!("{path}/{id}"), files).await;
    linked.examine(&[]).await.assert_sound("deploys-locked");
    linked
        .call("POST", &format!("/deploys/{id}/lock"), "")
        .await;
    let examined = linked.examine(&[]).await;
    let advice = examined.finding(
        "deploys-locked",
        "warning",
        &["is locked at its published deploy"],
    );
    let unlock = format!("`netlify api unlockDeploy --data '{{\"deploy_id\":\"{id}\"}}'`");
    assert!(advice.contains(&unlock), "{advice}");
    linked
        .call("POST", &format!("/deploys/{id}/unlock"), "")
        .await;
    linked.examine(&[]).await.assert_sound("deploys-locked");
}

#[tokio::test]
async fn site_that_takes_deploys_from_git_alone_is_a_warning() {
    let linked = Linked::new().await;
    for (prevents, id) in [(true, "shop-site"), (false, "shop-site")] {
        let set = linked.netlify.set_prevents_api_deploys(id, prevents);
        set.expect("the site");
        let examined = linked.examine(&[]).await;
        if prevents {
            let words = ["refuses production deploys that do not come from Git"];
            let advice = examined.finding("deploys-by-api", "warning", &words);
            assert!(advice.contains("deploy production from Git"), "{advice}");
        } else {
            examined.assert_sound("deploys-by-api");
        }
    }
}

#[tokio::test]
async fn clock_of_a_service_is_compared_with_this_machines() {
    let mut linked = Linked::new().await;
    let (url, relay) = (
        linked.netlify.url().to_owned(),
        Relay::ahead_of(linked.netlify.url()).await,
    );
    linked.patient.set("NETLIFY_API_URL", &relay.url);
    let words = [&["doctor", "--json"][..], &FEW].concat();
    let examined = linked.patient.examine_with(&words).await;
    let found: Vec<_> = examined
        .of("clock")
        .into_iter()
        .filter(|of| of["result"] == "warning")
        .collect();
    let [clock] = found.as_slice() else {
        panic!("{}", examined.json);
    };
    let text = clock.to_string();
    assert!(
        text.contains("s behind that of Netlify") && text.contains("timedatectl"),
        "{text}"
    );
    linked.patient.set("NETLIFY_API_URL", &url);
    linked.examine(&[]).await.assert_sound("clock");
}

/// A relay to an API that sets the date of each answer an hour ahead.
struct Relay {
    url: String,
    _connections: JoinSet<()>,
}

impl Relay {
    async fn ahead_of(url: &str) -> Self {
        let address = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&address).await.expect("the API");
                all.spawn(relay(client, server));
            }
        });
        Self {
            url,
            _connections: connections,
        }
    }
}

async fn relay(client: TcpStream, server: TcpStream) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = tokio::io::copy(&mut from_client, &mut to_server);
    let back = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            let part = &mut buffer[..read];
            let start = part
                .windows(6)
                .position(|at| at.eq_ignore_ascii_case(b"date: "));
            if let Some(start) = start {
                let ahead = SystemTime::now() + Duration::from_secs(3600);
                let date = httpdate::fmt_http_date(ahead);
                part[start + 6..start + 6 + date.len()].copy_from_slice(date.as_bytes());
            }
            if to_client.write_all(part).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = there => {}
        () = back => {}
    }
}
