//! Tests of the checks of a Netlify site.

use std::time::Duration;

use stagelink::StageKind;

use super::*;
use crate::doctor::site_facts::unread_token;
use crate::netlify::{Deploy, DeployContext, Variable, VariableValue};

fn variable(key: &str, values: &[(DeployContext, Option<&str>)]) -> Variable {
    let values = values.iter().map(|(context, text)| VariableValue {
        id: None,
        context: context.clone(),
        text: text.map(Into::into),
    });
    Variable {
        key: key.to_owned(),
        scopes: Vec::new(),
        is_secret: false,
        updated_at: None,
        values: values.collect(),
    }
}

fn staging() -> DeployContext {
    DeployContext::Branch("staging".to_owned())
}

/// A site whose contexts are linked, with these variables besides.
fn site(more: &[Variable]) -> SiteFacts {
    let stage = variable(
        "STAGELINK_STAGE",
        &[
            (DeployContext::Production, Some("production")),
            (staging(), Some("staging")),
        ],
    );
    SiteFacts {
        branches: Default::default(),
        name: "shop-site".to_owned(),
        published: Ok(None),
        refuses_api_deploys: Some(false),
        own: Ok([&[stage], more].concat()),
        account: Ok(Vec::new()),
        contexts: vec![
            (DeployContext::Production, Stage::PRODUCTION),
            (staging(), Stage::STAGING),
        ],
        clock: None,
    }
}

fn assert_finds(verdict: &Verdict, expected: Option<(Level, &str)>) {
    let found = verdict.findings().first();
    match (found, expected) {
        (None, None) => assert!(matches!(verdict, Verdict::Sound(_)), "{verdict:?}"),
        (Some(found), Some((level, word))) => {
            assert_eq!(found.level, level, "{verdict:?}");
            assert!(found.message.contains(word), "{verdict:?}");
        }
        _ => panic!("{verdict:?}, expected {expected:?}"),
    }
}

fn assert_not_checked(verdict: &Verdict, expected: &str) {
    match verdict {
        Verdict::NotChecked(reason) => assert!(reason.contains(expected), "{reason}"),
        _ => panic!("{verdict:?}, expected that it was not checked: {expected}"),
    }
}

/// The only verdict of a check.
fn single(verdicts: Vec<Verdict>) -> Verdict {
    let [verdict] = verdicts.as_slice() else {
        panic!("{verdicts:?}");
    };
    verdict.clone()
}

#[test]
fn site_is_sound_refused_or_not_asked() {
    let refused = NoSite::Refused("it is refused".to_owned());
    let not_asked = NoSite::NotAsked("no token".to_owned());
    assert_finds(&judge_site(&Ok(site(&[]))).unwrap(), None);
    assert_finds(
        &judge_site(&Err(refused)).unwrap(),
        Some((Level::Error, "it is refused")),
    );
    let verdict = judge_site(&Err(not_asked)).unwrap();
    assert_eq!(verdict, Verdict::NotChecked("no token".to_owned()));
    assert_eq!(judge_site(&Err(NoSite::None)), None);
}

#[test]
fn context_without_its_stage_is_not_linked() {
    assert_finds(&single(judge_linked(&site(&[]))), None);
    let mut other = site(&[]);
    other
        .contexts
        .push((DeployContext::DeployPreview, Stage::REVIEW));
    assert_finds(
        &single(judge_linked(&other)),
        Some((Level::Warning, "the context deploy-preview (stage review)")),
    );
}

#[test]
fn lock_and_setting_that_keep_deploys_out_are_warnings() {
    let published = |locked| SiteFacts {
        published: Ok(Some(Deploy {
            id: "d1".to_owned(),
            locked,
            ..Deploy::default()
        })),
        ..site(&[])
    };
    for (locked, expected) in [
        (Some(false), None),
        (Some(true), Some((Level::Warning, "deploy d1"))),
    ] {
        assert_finds(&judge_lock(&published(locked)), expected);
    }
    for (site, reason) in [
        (published(None), "whether the published deploy d1 is locked"),
        (site(&[]), "no published deploy"),
    ] {
        assert_not_checked(&judge_lock(&site), reason);
    }
    for (refuses_api_deploys, expected) in [
        (false, None),
        (true, Some((Level::Warning, "refuses production deploys"))),
    ] {
        let site = SiteFacts {
            refuses_api_deploys: Some(refuses_api_deploys),
            ..site(&[])
        };
        assert_finds(&judge_api_deploys(&site), expected);
    }
    let untold = SiteFacts {
        refuses_api_deploys: None,
        ..site(&[])
    };
    assert_not_checked(&judge_api_deploys(&untold), "does not say");
}

#[test]
fn leftover_url_is_an_error_where_it_leads_to_another_stage() {
    let known = [(Stage::STAGING, "s"), (Stage::PRODUCTION, "p")];
    let known = known.map(|(stage, database)| KnownDatabase {
        stage,
        server: "h:5432".to_owned(),
        database: database.to_owned(),
    });
    let url = |context, text| variable("DATABASE_URL", &[(context, text)]);
    let chosen = variable("STAGELINK_PROVIDER", &[(staging(), Some("url"))]);
    let linked = || {
        let pipeline = variable(
            "STAGELINK_HEROKU_PIPELINE",
            &[(DeployContext::All, Some("shop"))],
        );
        let key = variable("HEROKU_API_KEY", &[(DeployContext::All, None)]);
        let credentials = variable("STAGELINK_CREDENTIALS", &[(DeployContext::All, None)]);
        [pipeline, key, credentials]
    };
    let to_staging = || url(staging(), Some("postgres://u:p@h:5432/s"));
    let to_production = || {
        url(
            DeployContext::All,
            Some("postgres://u:p@h/p?sslmode=require"),
        )
    };
    for (variables, expected) in [
        (vec![], None),
        (
            vec![to_production()],
            Some((Level::Error, "database of stage production")),
        ),
        // The only source that functions have.
        (vec![to_staging()], None),
        (vec![to_staging(), chosen.clone()], None),
        (
            [vec![to_staging()], linked().to_vec()].concat(),
            Some((Level::Warning, "is left over")),
        ),
        (
            [vec![url(staging(), None)], linked()[2..].to_vec()].concat(),
            Some((Level::Warning, "is left over")),
        ),
        (
            vec![to_production(), chosen],
            Some((Level::Error, "database of stage production")),
        ),
    ] {
        let verdict = judge_leftover_url(&site(&variables), &known, &[]);
        assert_finds(&single(verdict), expected);
    }
    let unknown = SiteFacts {
        account: Err("no access".to_owned()),
        ..site(&[])
    };
    let verdict = judge_leftover_url(&unknown, &known, &[]);
    assert_not_checked(&single(verdict), "no access");
}

#[test]
fn fixed_url_that_may_lead_anywhere_is_not_called_sound() {
    let known = |stage, database: &str| KnownDatabase {
        stage,
        server: "h:5432".to_owned(),
        database: database.to_owned(),
    };
    let site = |text| {
        let url = variable("DATABASE_URL", &[(staging(), text)]);
        let chosen = variable("STAGELINK_PROVIDER", &[(staging(), Some("url"))]);
        site(&[url, chosen])
    };
    let all = [known(Stage::STAGING, "s"), known(Stage::PRODUCTION, "p")];
    let of_production = Some("postgres://u:p@h/p");
    for (text, known, unreached, expected) in [
        // `stagelink doctor staging`, or production's server is down.
        (
            of_production,
            &all[..1],
            &[Stage::PRODUCTION][..],
            "that of stage production was not",
        ),
        (None, &all[..], &[][..], "is a secret"),
        (Some("soon"), &all[..], &[][..], "is no URL"),
        // A second name of production's server, such as a pooler's, may be behind it.
        (
            Some("postgres://u:p@pooler/p"),
            &all[..],
            &[][..],
            "no stage has by that server",
        ),
        (
            Some("postgres://u:p@h/other"),
            &all[..],
            &[][..],
            "no stage has by that server",
        ),
    ] {
        let verdict = judge_leftover_url(&site(text), known, unreached);
        assert_not_checked(&single(verdict), expected);
    }
    let own = site(Some("postgres://u:p@h/s"));
    let verdict = judge_leftover_url(&own, &all[..1], &[Stage::PRODUCTION]);
    assert_finds(&single(verdict), None);
    let leak = judge_leftover_url(&site(of_production), &all, &[]);
    let advice = &leak[0].findings()[0].advice;
    assert!(
        advice.starts_with("set DATABASE_URL of each context"),
        "{advice}"
    );
}

#[test]
fn token_of_an_account_that_cannot_be_read_is_not_known() {
    let key = |context| variable("HEROKU_API_KEY", &[(context, Some("t"))]);
    let given = || {
        let access = crate::api::ApiAccess::new("", "t".into(), "STAGING_TOKEN");
        vec![(Stage::STAGING, access)]
    };
    let unread = |own: &[Variable]| SiteFacts {
        account: Err("no access".to_owned()),
        ..site(own)
    };
    assert_eq!(unread_token(&site(&[]), &[]), None);
    for (site, given, is_known) in [
        (unread(&[]), vec![], false),
        (unread(&[key(DeployContext::Production)]), vec![], false),
        (unread(&[key(staging())]), vec![], true),
        (unread(&[]), given(), true),
    ] {
        let found = unread_token(&site, &given);
        assert_eq!(found.is_none(), is_known, "{found:?}");
        if let Some(found) = found {
            assert_not_checked(&single(judge_token_reach(&[found])), "account: no access");
        }
    }
}

#[test]
fn variables_beyond_four_kilobytes_are_a_warning() {
    let long = "x".repeat(5000);
    let page = variable("PAGE", &[(staging(), Some(&long))]);
    assert_finds(&single(judge_variables_size(&site(&[]))), None);
    let large = site(&[page]);
    let expected = Some((Level::Warning, "the context branch:staging"));
    assert_finds(&single(judge_variables_size(&large)), expected);
    let unread = SiteFacts {
        account: Err("no access".to_owned()),
        ..large
    };
    let verdicts = judge_variables_size(&unread);
    assert_finds(&verdicts[0], expected);
    assert_not_checked(&verdicts[1], "no access");
}

#[test]
fn token_that_was_not_tried_is_not_called_sound() {
    let token = |reads| TokenFacts {
        origin: "the token in A".to_owned(),
        stages: BTreeSet::from([Stage::STAGING]),
        reads,
        removal: "replace it".to_owned(),
    };
    let wide = token(Ok(vec![(StageKind::Production, "shop".to_owned())]));
    let secret = token(Err("it is a secret".to_owned()));
    let narrow = token(Ok(Vec::new()));
    assert_finds(&single(judge_token_reach(&[])), None);
    let tried = judge_token_reach(std::slice::from_ref(&narrow));
    assert_finds(&single(tried), None);
    let expected = Some((Level::Error, "reads production's config vars (app shop)"));
    let verdicts = judge_token_reach(&[narrow.clone(), wide, secret.clone()]);
    assert_finds(&verdicts[0], expected);
    assert_not_checked(&verdicts[1], "it is a secret");
    let verdict = single(judge_token_reach(&[narrow, secret]));
    assert_not_checked(&verdict, "it is a secret");
}

#[test]
fn clocks_of_services_are_told_apart() {
    let clock = |ahead_secs| ClockReading {
        ahead_secs,
        unknown: Duration::from_secs(1),
    };
    assert_eq!(judge_service_clocks(&[], &[]), []);
    let clocks = [("Netlify", clock(0.2)), ("Heroku", clock(3600.0))];
    let expected = Some((Level::Warning, "s behind that of Heroku"));
    assert_finds(&single(judge_service_clocks(&clocks, &[])), expected);
    // One that was not read is not taken for one that agrees.
    let verdict = single(judge_service_clocks(&clocks[..1], &["Heroku"]));
    assert_not_checked(&verdict, "not compared with that of Heroku");
}

/// Each check that needs variables, by what could not be read of them.
#[test]
fn check_whose_variables_could_not_be_read_is_neither_sound_nor_a_finding() {
    let without_stage = || {
        let mut site = site(&[]);
        site.own = Ok(Vec::new());
        site
    };
    let no_own = |site: SiteFacts| SiteFacts {
        own: Err("no own".to_owned()),
        ..site
    };
    let no_account = |site: SiteFacts| SiteFacts {
        account: Err("no account".to_owned()),
        ..site
    };
    let url = || {
        site(&[variable(
            "DATABASE_URL",
            &[(staging(), Some("postgres://u:p@h/s"))],
        )])
    };
    let wrong = || {
        let mut site = site(&[]);
        let other = variable(STAGE, &[(DeployContext::All, Some("staging"))]);
        site.own = Ok(vec![other]);
        site
    };
    for (site, expected) in [
        (no_own(site(&[])), "no own"),
        (no_account(without_stage()), "no account"),
    ] {
        assert_not_checked(&single(judge_linked(&site)), expected);
    }
    // The site's own come before the account's.
    assert_finds(&single(judge_linked(&no_account(site(&[])))), None);
    let expected = Some((Level::Warning, "the context production"));
    assert_finds(&single(judge_linked(&no_account(wrong()))), expected);
    for (site, expected) in [
        (no_own(url()), "no own"),
        // The account may choose it by STAGELINK_PROVIDER.
        (no_account(url()), "is left over, unless a variable"),
    ] {
        let verdict = single(judge_leftover_url(&site, &[], &[]));
        assert_not_checked(&verdict, expected);
    }
    for (site, expected) in [
        (no_own(site(&[])), "no own"),
        (no_account(site(&[])), "no account"),
        (no_own(no_account(site(&[]))), "no own; no account"),
    ] {
        assert_not_checked(&single(judge_variables_size(&site)), expected);
        let token = unread_token(&site, &[]).expect("a token that may be there");
        let reason = expected.split(';').next().expect("a reason");
        assert_not_checked(&single(judge_token_reach(&[token])), reason);
    }
    let unread = SiteFacts {
        published: Err("no deploy".to_owned()),
        ..site(&[])
    };
    assert_not_checked(&judge_lock(&unread), "no deploy");
}
