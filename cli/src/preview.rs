//! The pull request of a deploy preview.

/// Returns the number of the pull request that a build on Netlify previews, from the variables
/// `CONTEXT` and `REVIEW_ID`. `None` for a build that is not for a deploy preview.
///
/// Netlify sets them only for the build, so functions are compiled with the number as
/// [`BUILT_FOR_PULL_REQUEST`].
pub fn pull_request(var: impl Fn(&str) -> Option<String>) -> Option<u64> {
    if var("CONTEXT")?.trim() != "deploy-preview" {
        return None;
    }
    let number: u64 = var("REVIEW_ID")?.trim().parse().ok()?;
    Some(number).filter(|number| *number > 0)
}

/// The variable with which functions are compiled for a pull request.
pub const BUILT_FOR_PULL_REQUEST: &str = "STAGELINK_BUILT_FOR_PULL_REQUEST";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(context: Option<&str>, review: Option<&str>) -> Option<u64> {
        pull_request(|name| {
            let value = match name {
                "CONTEXT" => context,
                "REVIEW_ID" => review,
                _ => None,
            };
            value.map(str::to_owned)
        })
    }

    #[test]
    fn only_a_deploy_preview_has_a_pull_request() {
        assert_eq!(of(Some("deploy-preview"), Some("24")), Some(24));
        for context in [None, Some("production"), Some("branch-deploy"), Some("dev")] {
            assert_eq!(of(context, Some("24")), None, "{context:?}");
        }
        for review in [None, Some(""), Some("0"), Some("-1"), Some("main")] {
            assert_eq!(of(Some("deploy-preview"), review), None, "{review:?}");
        }
    }
}
