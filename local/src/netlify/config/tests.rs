use super::*;

fn parse(text: &str) -> Result<SiteConfig, Error> {
    SiteConfig::parse(text, Path::new("/site"))
}

#[test]
fn typical_config_is_parsed_without_warnings() {
    let config = parse(
        r##"
        [build]
        command = "cargo build --release"
        publish = "public/"
        [functions]
        directory = "functions"
        [[redirects]]
        from = "/api/*"
        to = "/.netlify/functions/:splat"
        status = 200
        force = true
        [[redirects]]
        from = "/old"
        to = "/new"
        [redirects.query]
        [redirects.conditions]
        [[headers]]
        for = "/*"
        [headers.values]
        X-Frame-Options = "DENY"
        [context.production]
        command = "cargo build --release"
        [context.staging]
        command = "cargo build"
        publish = "public/"
        [dev]
        framework = "#custom"
        "##,
    )
    .unwrap();
    assert_eq!(config.publish, Path::new("/site/public"));
    assert_eq!(config.functions, Path::new("/site/functions"));
    assert_eq!(config.command.as_deref(), Some("cargo build --release"));
    assert_eq!((config.redirects.len(), config.headers.len()), (2, 1));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn config_warns_of_each_unsupported_key() {
    let config = parse(
        r#"
        [build]
        publish = "public"
        edge_functions = "edge"
        [build.environment]
        TOKEN = "s3cret"
        [functions."hello"]
        schedule = "@daily"
        memory = 512
        [functions."late"]
        schedule = "at noon"
        [context.staging]
        command = "x"
        publish = "other"
        [context.staging.environment]
        TOKEN = "s3cret"
        [[context.production.redirects]]
        from = "/a"
        to = "/b"
        [context.production.functions]
        directory = "other"
        [[plugins]]
        package = "p"
        [[redirects]]
        from = "/a"
        to = "/b"
        forse = true
        [[redirects]]
        from = "/admin/*"
        to = "/.netlify/functions/admin"
        status = 200
        conditions = { Role = ["admin"] }
        [[redirects]]
        from = "/proxy/*"
        to = "https://example.test/:splat"
        status = 200
        "#,
    )
    .unwrap();
    let warnings = config.warnings.join("\n");
    for key in [
        "build.edge_functions",
        "build.environment",
        "functions.hello.memory is ignored",
        "functions.late.schedule is ignored: \"at noon\" is no cron expression",
        "context.staging.publish",
        "context.staging.environment is ignored: on Netlify it applies to the build",
        "context.production.redirects",
        "context.production.functions",
        "plugins",
        "netlify.toml line 24: forse is ignored",
        "netlify.toml line 28: the redirect from \"/admin/*\" is ignored: the condition Role",
        "netlify.toml line 33: the redirect from \"/proxy/*\" is ignored: a proxy",
    ] {
        assert!(warnings.contains(key), "{key} in {warnings}");
    }
    assert!(!warnings.contains("functions.hello is"), "{warnings}");
    assert_eq!(config.schedules["hello"].expression(), "@daily");
    assert_eq!((config.schedules.len(), config.redirects.len()), (1, 1));
    assert!(!warnings.contains("s3cret"));
}

#[test]
fn invalid_config_is_refused_with_line_and_reason() {
    let wrong = "[build]\npublish = \"public\"\n\n[functions]\ndirectory = 7\n";
    let error = parse(wrong).unwrap_err().to_string();
    assert!(error.contains("netlify.toml: line 5: "), "{error}");
    assert!(error.contains("expected a string"), "{error}");

    let error = parse("[build]\npublish = \"a\"\nTOKEN = \"s3cret\n").unwrap_err();
    assert!(error.to_string().contains("line 3: "), "{error}");
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
}

#[test]
fn wrong_rule_costs_itself_and_a_warning_with_its_line() {
    let config = parse(
        "[build]\npublish = \"public\"\n\
         [[redirects]]\nfrom = \"/a\"\nto = 7\n\
         [[redirects]]\nfrom = \"/b\"\n\
         [[redirects]]\nfrom = \"/c/*\"\nstatus = 200.0\n\
         [[redirects]]\nfrom = \"/d\"\nto = \"/e\"\nstatus = \"301\"\n\
         [[headers]]\nfor = \"/*\"\nvalues = {a = 1}\n\
         [[headers]]\nfor = \"/*.js\"\nvalues = {a = [\"1\"]}\n",
    )
    .unwrap();
    assert_eq!((config.redirects.len(), config.headers.len()), (2, 1));
    assert_eq!(
        config.warnings,
        [
            "netlify.toml line 3: the redirect is ignored: \"to\" is not text",
            "netlify.toml line 6: the redirect is ignored: it has no \"to\", which only a \
             rule from \"…/*\" with status 200 can omit",
            "netlify.toml line 15: the headers rule is ignored: the header \"a\" has a value \
             that is not text",
        ]
    );
    let config = parse("redirects = 1\nheaders = {}\n[build]\npublish = \"a\"").unwrap();
    assert_eq!(config.warnings.len(), 2);
    assert!(config.warnings[0].contains("[[redirects]]"));
}

#[test]
fn query_for_a_function_warns() {
    let rules = "[build]\npublish = \"a\"\n[[redirects]]\nfrom = \"/a\"\nstatus = 200\n";
    let warnings = |to: &str| parse(&format!("{rules}to = \"{to}\"")).unwrap().warnings;
    let warned = warnings("/.netlify/functions/f?x=1");
    assert!(
        warned[0].contains("put the value in the path"),
        "{warned:?}"
    );
    for to in [
        "/.netlify/functions/f",
        "/f.html?x=1",
        "/.netlify/functions/f#?x",
    ] {
        assert_eq!(warnings(to), [""; 0], "{to}");
    }
}

#[test]
fn config_paths_are_relative_to_the_base_and_stay_in_it() {
    let config = parse("[build]\nbase = \"web\"\npublish = \"/dist/../out\"").unwrap();
    assert_eq!(config.publish, Path::new("/site/web/out"));
    assert_eq!(config.functions, Path::new("/site/web/netlify/functions"));
    let error = parse("[build]\npublish = \"../secrets\"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
}

#[test]
fn config_without_a_publish_directory_warns() {
    let config = parse("").unwrap();
    assert_eq!(config.publish, Path::new("/site"));
    assert!(config.warnings[0].contains("build.publish"));
}

#[test]
fn config_without_a_file_has_the_defaults_of_netlify() {
    let site = tempfile::tempdir().unwrap();
    let config = SiteConfig::load(site.path()).unwrap();
    assert_eq!(config.publish, site.path());
    assert_eq!(config.functions, site.path().join("netlify/functions"));
    assert!(config.warnings[0].contains("there is no such file"));
}

#[test]
fn rules_of_the_published_folder_come_before_those_of_the_toml() {
    let site = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(site.path().join(name), text).unwrap();
    std::fs::create_dir(site.path().join("public")).unwrap();
    let toml = "[build]\npublish = \"public\"\n[[redirects]]\nfrom = \"/c\"\nto = \"/d\"\n\
                [[redirects]]\nfrom = \"/a\"\nto = \"/b\"\n";
    write("netlify.toml", toml);
    // A file at the root is for `netlify dev` alone.
    write("_redirects", "/root /x\n");
    write("public/_redirects", "/a /b\n/e\n/c /x\n");
    write("public/_headers", "/*.js\n  X-A: 1\nnothing\n");
    let config = SiteConfig::load(site.path()).unwrap();
    // The first `/a` is repeated by the last, which counts.
    assert_eq!((config.redirects.len(), config.headers.len()), (3, 1));
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    assert!(config.warnings[0].starts_with("public/_redirects line 2: the redirect is ignored"));
    assert!(config.warnings[1].starts_with("public/_headers line 3: the headers rule"));
}
