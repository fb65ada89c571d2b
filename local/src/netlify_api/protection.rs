//! The protection of a site by a password: its addresses show a form instead of the site.

use http::{Response, StatusCode};

use super::NetlifyApi;
use crate::Error;
use crate::netlify::{ResponseBody, page_response};

impl NetlifyApi {
    /// Sets whether a site is protected by a password. Then all of its hosted addresses answer
    /// 401 with a form that asks for it, functions and the addresses of single deploys included. The
    /// API is not affected.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such site.
    pub fn set_site_protection(&self, site: &str, is_protected: bool) -> Result<(), Error> {
        let mut account = self.state.account();
        let site = account.find_site(site, "protect it")?;
        site.is_protected = is_protected;
        Ok(())
    }
}

/// Returns the page that asks for a password.
pub(super) fn password_page() -> Response<ResponseBody> {
    page_response(StatusCode::UNAUTHORIZED, "text/html; charset=utf-8", FORM)
}

/// The form. Netlify's own markup is not verified (2026-11).
const FORM: &str = "<!doctype html>\n<html lang=\"en\">\n<head><title>Password protected site</title></head>\n\
    <body>\n<form method=\"POST\">\n<h1>This site is password protected</h1>\n\
    <label for=\"password\">Password</label>\n\
    <input type=\"password\" id=\"password\" name=\"password\" required>\n\
    <button type=\"submit\">Submit</button>\n</form>\n</body>\n</html>\n";
