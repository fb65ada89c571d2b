//! The published files of a deploy: finds the file for a path, and sends it.

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

/// Body of every response of a site.
pub(crate) type ResponseBody = UnsyncBoxBody<Bytes, io::Error>;

/// The publish directory of a deploy.
#[derive(Debug)]
pub(super) struct Files {
    /// Canonical path, to check that a file is inside.
    root: PathBuf,
}

/// The file for a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ResolvedPath {
    /// The file itself.
    File(PathBuf),
    /// The index of a directory whose path has no trailing slash. Relative links in the index would
    /// be wrong, so the client is redirected to the path with a slash.
    Directory(PathBuf),
}

impl Files {
    pub(super) async fn open(publish: &Path) -> Result<Self, Error> {
        let open_error = |kind| {
            let publish = publish.display();
            Error::new(
                kind,
                format!("could not publish {publish}: build the site first, or set build.publish"),
            )
        };
        let root = match tokio::fs::canonicalize(publish).await {
            Ok(root) => root,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                return Err(open_error(ErrorKind::Input).with_source(cause));
            }
            Err(cause) => return Err(open_error(ErrorKind::System).with_source(cause)),
        };
        if !root.is_dir() {
            let cause = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(open_error(ErrorKind::Input).with_source(cause));
        }
        Ok(Self { root })
    }

    /// Returns the file for a percent-encoded path: the file itself, `path.html`, or the
    /// directory's `index.html`, as on Netlify. Hidden files and files outside the directory are
    /// not found, even through a symbolic link.
    pub(super) async fn resolve(&self, path: &str) -> Option<ResolvedPath> {
        let path = path.strip_prefix('/')?;
        let (path, has_slash) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, path.is_empty()),
        };
        let mut plain = self.root.clone();
        if !path.is_empty() {
            for segment in path.split('/') {
                let name = percent_decode_str(segment).decode_utf8().ok()?;
                // No file name contains a slash or NUL.
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
        if has_slash {
            if self.contains(&index).await {
                return Some(ResolvedPath::File(index));
            }
        } else if self.contains(&plain).await {
            return Some(ResolvedPath::File(plain));
        }
        // `<publish>.html` is outside the directory.
        if !path.is_empty() && self.contains(&html).await {
            return Some(ResolvedPath::File(html));
        }
        if !has_slash && self.contains(&index).await {
            return Some(ResolvedPath::Directory(index));
        }
        None
    }

    async fn contains(&self, file: &Path) -> bool {
        let Ok(real) = tokio::fs::canonicalize(file).await else {
            return false;
        };
        let Ok(below) = real.strip_prefix(&self.root) else {
            return false;
        };
        !below.iter().any(is_hidden) && tokio::fs::metadata(&real).await.is_ok_and(|m| m.is_file())
    }
}

/// Sends a file with a status. The client's conditions and ranges are ignored unless the status is
/// 200, because a 304 or 206 would hide the status.
pub(super) async fn send(
    file: &Path,
    status: StatusCode,
    method: &Method,
    headers: &HeaderMap,
) -> Response<ResponseBody> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = text_response(
            StatusCode::METHOD_NOT_ALLOWED,
            "files support GET and HEAD only\n",
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
            return text_response(
                StatusCode::INTERNAL_SERVER_ERROR,
                "could not read the file\n",
            );
        }
    };
    if response.status() == StatusCode::OK {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    let revalidate = HeaderValue::from_static("public,max-age=0,must-revalidate");
    headers.insert(header::CACHE_CONTROL, revalidate);
    if let Some(charset) = headers.get(header::CONTENT_TYPE).and_then(with_charset) {
        headers.insert(header::CONTENT_TYPE, charset);
    }
    response
}

/// Returns a response with a line of plain text.
pub(crate) fn text_response(
    status: StatusCode,
    sentence: impl Into<Bytes>,
) -> Response<ResponseBody> {
    page_response(status, "text/plain; charset=UTF-8", sentence)
}

/// Returns a response with a page that the stand-in generates.
pub(crate) fn page_response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<ResponseBody> {
    let mut response = Response::new(full_body(body.into()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// Returns the body with this content.
pub(super) fn full_body(body: Bytes) -> ResponseBody {
    UnsyncBoxBody::new(Full::new(body).map_err(|never| match never {}))
}

/// Returns whether a file is not published: a dot file, except `.well-known`, which certificates
/// and app links need, or a file that Netlify itself reads.
fn is_hidden(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    (name.starts_with(b".") && name != b".well-known")
        || NOT_PUBLISHED
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
}

/// Returns the content type of text with the charset UTF-8, as Netlify sends it. Without a charset
/// a browser would guess.
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
    async fn path_resolves_to_the_file_the_page_or_the_index() {
        let (_directory, files) = site().await;
        let file = |name: &str| Some(ResolvedPath::File(files.root.join(name)));
        assert_eq!(files.resolve("/").await, file("index.html"));
        assert_eq!(files.resolve("/about").await, file("about.html"));
        assert_eq!(files.resolve("/about/").await, file("about.html"));
        assert_eq!(files.resolve("/about.html").await, file("about.html"));
        assert_eq!(files.resolve("/docs/").await, file("docs/index.html"));
        assert_eq!(files.resolve("/a%20b.txt").await, file("a b.txt"));
        assert_eq!(
            files.resolve("/.well-known/x.txt").await,
            file(".well-known/x.txt")
        );
        let docs = files.root.join("docs/index.html");
        assert_eq!(
            files.resolve("/docs").await,
            Some(ResolvedPath::Directory(docs))
        );
    }

    #[tokio::test]
    async fn path_of_an_unpublished_file_is_not_found() {
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
            assert_eq!(files.resolve(path).await, None, "{path}");
        }
    }

    #[tokio::test]
    async fn missing_directory_is_an_input_error() {
        let (directory, _files) = site().await;
        for name in ["missing", "secret.txt"] {
            let error = Files::open(&directory.path().join(name)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
