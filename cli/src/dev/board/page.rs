//! The files of the page, as they are in the folder `page`. They hold nothing of the project.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

/// A file with its path and content type.
type PageFile = (&'static str, &'static str, &'static str);

/// Returns the routes of the files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut routes = Router::new();
    for (path, content_type, text) in FILES {
        let content = || async { ([(CONTENT_TYPE, *content_type)], *text) };
        routes = routes.route(path, get(content));
    }
    routes
}

const JS: &str = "text/javascript; charset=utf-8";

const FILES: &[PageFile] = &[
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("page/index.html"),
    ),
    (
        "/board.css",
        "text/css; charset=utf-8",
        include_str!("page/board.css"),
    ),
    (
        "/requests.css",
        "text/css; charset=utf-8",
        include_str!("page/requests.css"),
    ),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("/main.js", JS, include_str!("page/main.js")),
    ("/server.js", JS, include_str!("page/server.js")),
    ("/elements.js", JS, include_str!("page/elements.js")),
    ("/stages.js", JS, include_str!("page/stages.js")),
    ("/requests.js", JS, include_str!("page/requests.js")),
    ("/row.js", JS, include_str!("page/row.js")),
    ("/request.js", JS, include_str!("page/request.js")),
    ("/waterfall.js", JS, include_str!("page/waterfall.js")),
    ("/faults.js", JS, include_str!("page/faults.js")),
    ("/actions.js", JS, include_str!("page/actions.js")),
];
