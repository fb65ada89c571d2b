//! The addresses of sites and deploys: the URLs in responses, and the host names of a [`Hosting`].
//!
//! [`Hosting`]: super::Hosting

use super::account::Account;
use super::context::Context;
use super::deploys::{DeployRecord, DeployState};
use super::site::SiteRecord;

impl Account {
    /// URL of a site, or of what a site has under a label: a deploy's id or a branch. While a
    /// hosting runs, it leads there.
    pub(super) fn url(&self, label: Option<&str>, site: &str) -> String {
        let name = match label {
            Some(label) => format!("{label}--{site}"),
            None => site.to_owned(),
        };
        match self.hosted_port {
            Some(port) => format!("http://{name}.localhost:{port}"),
            None => format!("https://{name}.netlify.app"),
        }
    }

    /// Returns the ready deploy that a host name beneath `localhost` leads to.
    pub(super) fn deploy_at(&self, host: &str) -> Option<&DeployRecord> {
        let (site, label) = self.site_at(host)?;
        let deploy = match label {
            None => self.deploy(site.published()?),
            Some(label) => self
                .deploy(label)
                .filter(|deploy| deploy.site == site.id)
                .or_else(|| self.newest_of_branch(site, label)),
        };
        deploy.filter(|deploy| deploy.state == DeployState::Ready)
    }

    /// Returns the site of a host name beneath `localhost`, and the label before its name.
    pub(super) fn site_at<'a>(&self, host: &'a str) -> Option<(&SiteRecord, Option<&'a str>)> {
        let name = host.strip_suffix(".localhost")?;
        if let Some(site) = self.sites.iter().find(|site| site.name == name) {
            return Some((site, None));
        }
        self.sites.iter().find_map(|site| {
            let label = name.strip_suffix(site.name.as_str())?.strip_suffix("--")?;
            Some((site, Some(label)))
        })
    }

    /// Returns the host names that lead to a deploy.
    pub(super) fn hosts(&self) -> Vec<String> {
        let mut hosts = Vec::new();
        for deploy in &self.deploys {
            let site = self.site_name(deploy.site);
            let shared = match &deploy.context {
                Context::Production => Some(format!("{site}.localhost")),
                Context::Branch(branch) => {
                    Some(format!("{}--{site}.localhost", branch_label(branch)))
                }
                _ => None,
            };
            hosts.push(format!("{}--{site}.localhost", deploy.id));
            hosts.extend(shared);
        }
        hosts.retain(|host| self.deploy_at(host).is_some());
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    /// Returns the newest ready deploy of a branch, whose host follows it.
    fn newest_of_branch(&self, site: &SiteRecord, label: &str) -> Option<&DeployRecord> {
        let is_of_branch = |deploy: &&DeployRecord| match &deploy.context {
            Context::Branch(branch) => branch_label(branch) == label,
            _ => false,
        };
        self.deploys
            .iter()
            .rev()
            .filter(|deploy| deploy.site == site.id && !deploy.draft)
            .filter(|deploy| deploy.state == DeployState::Ready)
            .find(is_of_branch)
    }
}

/// Returns a branch's label in host names.
pub(super) fn branch_label(branch: &str) -> String {
    let label = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    };
    branch.chars().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_of_a_site_is_no_label_of_another() {
        let mut account = Account::default();
        for name in ["shop", "old--shop"] {
            account.create_site(name).unwrap();
        }
        let found = |host: &str| {
            let (site, label) = account.site_at(host)?;
            Some((site.name.clone(), label.map(str::to_owned)))
        };
        let site =
            |name: &str, label: Option<&str>| Some((name.to_owned(), label.map(str::to_owned)));
        assert_eq!(found("shop.localhost"), site("shop", None));
        assert_eq!(found("a--shop.localhost"), site("shop", Some("a")));
        assert_eq!(found("old--shop.localhost"), site("old--shop", None));
        assert_eq!(found("ashop.localhost"), None);
        assert_eq!(found("shop"), None);
    }

    #[test]
    fn label_of_a_branch_is_a_part_of_a_host_name() {
        assert_eq!(branch_label("feature/New_ü"), "feature-new--");
    }
}
