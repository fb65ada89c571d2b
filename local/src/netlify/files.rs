//! The files that a deploy publishes: which file a path means, and sending it.

use crate::{Error, ErrorKind};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Empty, Full};
use percent_encoding::percent_decode_str;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use tower_http::services::ServeFile;

/// The body of every response of a site.
pub(super) type ResponseBody = UnsyncBoxBody<Bytes, io::Error>;

/// A publish directory.
#[derive(Debug)]
pub(super) struct Files {
    /// Without symbolic links, to compare with.
    root: PathBuf,
}

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This file.
    File(PathBuf),
    /// A directory with an index, asked for without its last slash: relative links in the
    /// index would lead to the wrong place, so the client is sent to the path with a slash.
    Directory(PathBuf),
}

impl Files {
    pub(super) async fn open(publish: &Path) -> Result<Self, Error> {
        let refused = |kind| {
            let publish = publish.display();
            Error::new(
                kind,
                format!("could not publish {publish}: build the site first, or set build.publish"),
            )
        };
        let root = match tokio::fs::canonicalize(publish).await {
            Ok(root) => root,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                return Err(refused(ErrorKind::Input).because(cause));
            }
            Err(cause) => return Err(refused(ErrorKind::System).because(cause)),
        };
        if !root.is_dir() {
            let cause = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(refused(ErrorKind::Input).because(cause));
        }
        Ok(Self { root })
    }

    /// Finds the file for a path, which is still percent-encoded: the file itself, `path.html`,
    /// or the directory's `index.html`, as Netlify does. Hidden files are never found, nor is
    /// anything outside the directory, symbolic links included.
    pub(super) async fn find(&self, path: &str) -> Option<Found> {
        let path = path.strip_prefix('/')?;
        let (path, slash) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, path.is_empty()),
        };
        let mut plain = self.root.clone();
        if !path.is_empty() {
            for segment in path.split('/') {
                let name = percent_decode_str(segment).decode_utf8().ok()?;
                // A decoded slash or NUL is part of no file's name.
                if name.is_empty()
                    || name.contains(['/', '\0'])
                    || is_hidden(name.as_ref().as_ref())
                {
                    return None;
                }
                plain.push(name.as_ref());
            }
        }
        let index = plain.join("index.html");
        let mut html = plain.clone().into_os_string();
        html.push(".html");
        let html = PathBuf::from(html);
        if slash {
            if self.holds(&index).await {
                return Some(Found::File(index));
            }
        } else if self.holds(&plain).await {
            return Some(Found::File(plain));
        }
        // Never `<publish>.html`, which lies beside the directory.
        if !path.is_empty() && self.holds(&html).await {
            return Some(Found::File(html));
        }
        if !slash && self.holds(&index).await {
            return Some(Found::Directory(index));
        }
        None
    }

    async fn holds(&self, file: &Path) -> bool {
        let Ok(real) = tokio::fs::canonicalize(file).await else {
            return false;
        };
        let Ok(below) = real.strip_prefix(&self.root) else {
            return false;
        };
        !below.iter().any(is_hidden) && tokio::fs::metadata(&real).await.is_ok_and(|m| m.is_file())
    }
}

/// Sends a file with a status. Only with 200 do the client's conditions and ranges count:
/// another page's 304 or 206 would hide the status.
pub(super) async fn send(
    file: &Path,
    status: StatusCode,
    method: &Method,
    headers: &HeaderMap,
) -> Response<ResponseBody> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "a file is read by GET or HEAD\n",
        );
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(header::ALLOW, allowed);
        return response;
    }
    let mut request = Request::new(Empty::<Bytes>::new());
    request.method_mut().clone_from(method);
    if status == StatusCode::OK {
        request.headers_mut().clone_from(headers);
    }
    let mut response = match ServeFile::new(file).try_call(request).await {
        Ok(response) => response.map(UnsyncBoxBody::new),
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "could not read a published file");
            return text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the file could not be read\n",
            );
        }
    };
    if response.status() == StatusCode::OK {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    let fresh = HeaderValue::from_static("public,max-age=0,must-revalidate");
    headers.insert(header::CACHE_CONTROL, fresh);
    if let Some(charset) = headers.get(header::CONTENT_TYPE).and_then(with_charset) {
        headers.insert(header::CONTENT_TYPE, charset);
    }
    response
}

/// A plain sentence.
pub(super) fn text(status: StatusCode, sentence: impl Into<Bytes>) -> Response<ResponseBody> {
    page(status, "text/plain; charset=UTF-8", sentence)
}

/// A page of the site's own.
pub(super) fn page(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<ResponseBody> {
    let mut response = Response::new(full(body.into()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// A body that is there already.
pub(super) fn full(body: Bytes) -> ResponseBody {
    UnsyncBoxBody::new(Full::new(body).map_err(|never| match never {}))
}

/// Dot files, but for `.well-known`, which certificates and app links need; and the files
/// that Netlify reads itself and does not publish.
fn is_hidden(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    (name.starts_with(b".") && name != b".well-known")
        || NOT_PUBLISHED
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
}

/// Netlify sends text as UTF-8; without the charset a browser would guess.
fn with_charset(content_type: &HeaderValue) -> Option<HeaderValue> {
    let content_type = content_type.to_str().ok()?;
    let is_text = content_type.starts_with("text/") || content_type == "application/json";
    if !is_text || content_type.contains("charset") {
        return None;
    }
    HeaderValue::from_str(&format!("{content_type}; charset=UTF-8")).ok()
}

const NOT_PUBLISHED: [&str; 3] = ["_headers", "_redirects", "netlify.toml"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    async fn site() -> (tempfile::TempDir, Files) {
        let directory = tempfile::tempdir().unwrap();
        let publish = directory.path().join("public");
        for (file, text) in [
            ("public/index.html", "home"),
            ("public/about.html", "about"),
            ("public/docs/index.html", "docs"),
            ("public/a b.txt", "spaced"),
            ("public/.env", "SECRET=1"),
            ("public/.git/config", "x"),
            ("public/.well-known/x.txt", "x"),
            ("public/_redirects", "x"),
            ("public.html", "outside"),
            ("secret.txt", "outside"),
        ] {
            let file = directory.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        std::os::unix::fs::symlink("../secret.txt", publish.join("leak.txt")).unwrap();
        std::os::unix::fs::symlink(".env", publish.join("env.txt")).unwrap();
        let files = Files::open(&publish).await.unwrap();
        (directory, files)
    }

    #[tokio::test]
    async fn path_means_the_file_the_page_or_the_index() {
        let (_directory, files) = site().await;
        let file = |name: &str| Some(Found::File(files.root.join(name)));
        assert_eq!(files.find("/").await, file("index.html"));
        assert_eq!(files.find("/about").await, file("about.html"));
        assert_eq!(files.find("/about/").await, file("about.html"));
        assert_eq!(files.find("/about.html").await, file("about.html"));
        assert_eq!(files.find("/docs/").await, file("docs/index.html"));
        assert_eq!(files.find("/a%20b.txt").await, file("a b.txt"));
        assert_eq!(
            files.find("/.well-known/x.txt").await,
            file(".well-known/x.txt")
        );
        let docs = files.root.join("docs/index.html");
        assert_eq!(files.find("/docs").await, Some(Found::Directory(docs)));
    }

    #[tokio::test]
    async fn path_to_what_is_not_published_means_nothing() {
        let (_directory, files) = site().await;
        for path in [
            "/nothing",
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/docs/..%2f..%2fsecret.txt",
            "/docs/../index.html",
            "//index.html",
            "/.env",
            "/%2eenv",
            "/.git/config",
            "/.netlify/x",
            "/_redirects",
            "/leak.txt",
            "/env.txt",
            "/index.html%00",
            "/%ff",
            "/.html",
            "",
        ] {
            assert_eq!(files.find(path).await, None, "{path}");
        }
    }

    #[tokio::test]
    async fn directory_that_is_not_there_is_an_input_error() {
        let (directory, _files) = site().await;
        for name in ["missing", "secret.txt"] {
            let error = Files::open(&directory.path().join(name)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
