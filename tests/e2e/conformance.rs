//! The contract of `Provider`, checked for each of the SDK's own providers.

use std::fmt::Debug;

use stagelink::testing::Conformance;
use stagelink::{Heroku, Neon, Provider, ProviderSettings, Render, Settings, Stage, StaticUrl};
use stagelink_tests::{CANARY, FunctionHarness, HerokuFixture, ProviderFixture};

/// Returns the conformance check of a provider whose token is in this variable.
fn conformance<'a, P: Provider + Debug>(
    provider: &'a P,
    harness: &FunctionHarness,
    token: &str,
) -> Conformance<'a, P> {
    Conformance::of(provider, Stage::STAGING)
        .secret(&harness.variables[token])
        .secret(CANARY)
}

fn settings(harness: &FunctionHarness) -> ProviderSettings {
    let settings = Settings::from_vars(&harness.variables).expect("they are good");
    settings.provider.expect("there is one")
}

fn rotated(url: &str) -> String {
    url.replace(CANARY, &format!("{CANARY}-next"))
}

#[tokio::test]
async fn heroku_conforms_to_the_provider_contract() {
    let fixture = HerokuFixture::new().await;
    let ProviderSettings::Heroku(settings) = settings(&fixture) else {
        panic!("not heroku")
    };
    let heroku = Heroku::new(settings).expect("its settings are good");
    let url = fixture.database.url();
    conformance(&heroku, &fixture, "HEROKU_API_KEY")
        .without_database(Stage::PRODUCTION)
        .check(&url, async || {
            fixture.set_url(&rotated(&url));
            rotated(&url)
        })
        .await;
}

#[tokio::test]
async fn neon_conforms_to_the_provider_contract() {
    let fixture = ProviderFixture::neon().await;
    let ProviderSettings::Neon(settings) = settings(&fixture) else {
        panic!("not neon")
    };
    let neon = Neon::new(settings).expect("its settings are good");
    check_at(&fixture, &neon).await;
}

#[tokio::test]
async fn render_conforms_to_the_provider_contract() {
    let fixture = ProviderFixture::render().await;
    let ProviderSettings::Render(settings) = settings(&fixture) else {
        panic!("not render")
    };
    let render = Render::new(settings).expect("its settings are good");
    check_at(&fixture, &render).await;
}

/// Both write a URL's scheme differently than Heroku.
async fn check_at<P: Provider + Debug>(fixture: &ProviderFixture, provider: &P) {
    let spelled = |url: &str| url.replacen("postgres://", "postgresql://", 1);
    let url = fixture.database.url();
    conformance(provider, fixture, fixture.cloud.token_variable())
        .check(&spelled(&url), async || {
            fixture.cloud.set_url(&rotated(&url));
            spelled(&rotated(&url))
        })
        .await;
}

#[tokio::test]
async fn fixed_url_conforms_to_the_provider_contract() {
    let url = format!("postgres://shop:{CANARY}@db.example/shop");
    let fixed = StaticUrl::parse(&url.as_str().into()).expect("it is a URL");
    Conformance::of(&fixed, Stage::STAGING)
        .check(&url, async || url.clone())
        .await;
}
