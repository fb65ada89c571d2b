//! Tests of the choice between file, redirect, rewrite and function.

use super::{SiteFolder, echo, get, send};
use crate::netlify::Site;

#[tokio::test]
async fn function_behind_a_rewrite_gets_the_requested_path() {
    let folder = SiteFolder::new(&[("index.html", "home")]);
    let rules = r#"
        [[redirects]]
        from = "/api/*"
        to = "/.netlify/functions/:splat"
        status = 200
    "#;
    let deploy = folder
        .deploy("localhost", rules)
        .with_function("echo", echo());
    let site = Site::start(0, vec![deploy]).await.unwrap();

    let spoofed = [("x-nf-deploy-context", "production")];
    let path = "/api/echo/more?a=1&a=2";
    let response = send(&site, "POST", path, &spoofed, b"12345").await;
    assert_eq!(
        (response.status, response.text()),
        (200, "POST /api/echo/more a=1&a=2 5")
    );
    assert_eq!(response.header("set-cookie"), ["a=1", "b=2"]);

    let direct = get(&site, "/.netlify/functions/echo").await;
    assert_eq!(direct.text(), "GET /.netlify/functions/echo  0");
    let options = send(&site, "OPTIONS", "/api/echo", &[], b"").await;
    assert_eq!(options.text(), "OPTIONS /api/echo  0");
    let head = send(&site, "HEAD", "/api/echo", &[], b"").await;
    assert_eq!((head.status, head.text()), (200, ""));
    assert_eq!(
        head.header("content-length"),
        [format!("{}", "HEAD /api/echo  0".len())]
    );

    let unknown = get(&site, "/api/nothing").await;
    assert_eq!(unknown.status, 404);
    assert!(
        unknown.text().contains("this deploy has echo"),
        "{}",
        unknown.text()
    );
    let outside = get(&site, "/api/../../index.html").await;
    assert_eq!(outside.status, 404);
}

#[tokio::test]
async fn requests_are_handled_in_the_order_of_netlify() {
    let folder = SiteFolder::new(&[
        ("index.html", "home"),
        ("page.html", "page"),
        ("old.html", "old"),
        ("docs/index.html", "docs"),
        ("404.html", "lost"),
        ("gone.html", "gone"),
    ]);
    let rules = r#"
        [[redirects]]
        from = "/page"
        to = "/elsewhere"
        [[redirects]]
        from = "/old"
        to = "/page"
        status = 302
        force = true
        [[redirects]]
        from = "/moved/:id"
        to = "/docs/?id=:id"
        [[redirects]]
        from = "/gone/*"
        to = "/gone.html"
        status = 410
        [[redirects]]
        from = "/app/*"
        to = "/index.html"
        status = 200
        [[redirects]]
        from = "/broken"
        to = "/nowhere.html"
        status = 200
        [[headers]]
        for = "/docs/*"
        [headers.values]
        cache-control = "max-age=60"
    "#;
    let deploy = folder
        .deploy("localhost", rules)
        .with_function("echo", echo());
    let site = Site::start(0, vec![deploy]).await.unwrap();
    for (path, status, text) in [
        ("/", 200, "home"),
        ("/page", 200, "page"),
        ("/app/any/where", 200, "home"),
        ("/gone/x", 410, "gone"),
        ("/docs/", 200, "docs"),
        ("/nothing", 404, "lost"),
        ("/broken", 404, "lost"),
        ("/netlify.toml", 404, "lost"),
    ] {
        let response = get(&site, path).await;
        assert_eq!((response.status, response.text()), (status, text), "{path}");
        let fresh = if path == "/docs/" {
            "max-age=60"
        } else {
            "public,max-age=0,must-revalidate"
        };
        assert_eq!(response.header("cache-control"), [fresh], "{path}");
        assert_eq!(
            response.header("content-type"),
            ["text/html; charset=UTF-8"]
        );
    }
    for (path, status, location) in [
        ("/old", 302, "/page"),
        ("/moved/7?a=1", 301, "/docs/?id=7"),
        ("/docs?a=1", 301, "/docs/?a=1"),
    ] {
        let response = get(&site, path).await;
        assert_eq!(
            (response.status, response.header("location")),
            (status, vec![location]),
            "{path}"
        );
    }
    let post = send(&site, "POST", "/page", &[], b"x").await;
    assert_eq!(
        (post.status, post.header("allow")),
        (405, vec!["GET, HEAD"])
    );
    let head = send(&site, "HEAD", "/page", &[], b"").await;
    assert_eq!(
        (head.status, head.header("content-length"), head.text()),
        (200, vec!["4"], "")
    );
    let etag = head.header("etag")[0].to_owned();
    assert_eq!(head.header("last-modified").len(), 1);
    let known = [("if-none-match", etag.as_str())];
    let unchanged = send(&site, "GET", "/page", &known, b"").await;
    assert_eq!((unchanged.status, unchanged.text()), (304, ""));
    let conditions = [("if-none-match", "*"), ("range", "bytes=0-0")];
    let missing = send(&site, "GET", "/nothing", &conditions, b"").await;
    assert_eq!((missing.status, missing.text()), (404, "lost"));
}
