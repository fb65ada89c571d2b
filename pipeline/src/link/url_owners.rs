//! The stages that own the databases to which a site's variables lead.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};
use stagelink::{Stage, StageKind};

use crate::error::Error;
use crate::link::connection_string::{ConnectionString, UNNAMED, connection_strings, readings};
use crate::link::owner_search::{Owner, OwnerSearch};
use crate::link::password_parts::PasswordParts;
use crate::link::request::LinkRequest;
use crate::link::site_variables::SiteVariables;
use crate::link::stage_database::{StageDatabase, StageDatabases};

/// The owners of the databases that a site's readable variables lead to, and the secrets of each
/// stage.
#[derive(Debug)]
pub struct UrlOwners {
    owners: Vec<(ConnectionString, Owner)>,
    secrets: Vec<(Stage, Vec<SecretString>)>,
}

impl UrlOwners {
    /// Finds the owner of each database that a readable variable leads to: by its name, or by a
    /// connection to it, which shows its mark or that it is a stage's database under another name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`](crate::ErrorKind::Database) when a stage's own database can no
    /// longer be used for a comparison.
    pub async fn find(
        request: &LinkRequest,
        site: &SiteVariables,
        databases: &StageDatabases,
    ) -> Result<Self, Error> {
        let mut search = OwnerSearch::new(request, databases);
        let values = site.own.iter().chain(site.of_account());
        let values = values.flat_map(|variable| &variable.values);
        let texts = values.filter_map(|value| value.text.as_ref());
        let mut owners: Vec<(ConnectionString, Owner)> = Vec::new();
        let mut found: Vec<_> = texts
            .flat_map(|text| strings_in(text.expose_secret()))
            .collect();
        // A plain reading comes before an ambiguous one of the same names.
        found.sort_by_key(|found| found.is_ambiguous);
        for found in found {
            if owners.iter().any(|(known, _)| found.is_same_as(known)) {
                continue;
            }
            let named = databases.all().find(|known| is_named_by(known, &found));
            let owner = match named {
                Some(known) => Owner::Stage(known.stage()),
                // Any other URL, such as a site's address.
                None if !found.is_postgres => continue,
                // Not even a name server may see what is perhaps a part of a password.
                None if found.is_ambiguous => Owner::Unknown(None),
                None => search.owner(&found).await?,
            };
            owners.push((found, owner));
        }
        let stages = request.known_stages().into_iter().map(|stage| {
            let mut secrets = databases.secrets(request, stage);
            if stage.kind() == StageKind::Production {
                // The operator's own token reads production's config vars.
                secrets.push(request.heroku.token.clone());
            }
            secrets.retain(|secret| secret.expose_secret().len() >= MIN_SECRET_BYTES);
            (stage, secrets)
        });
        Ok(Self {
            secrets: stages.collect(),
            owners,
        })
    }

    /// The number of databases.
    pub fn count(&self) -> usize {
        self.owners.len()
    }

    /// The stages whose database a value leads to, or whose secrets it holds. A secret that
    /// `stage` has too does not count.
    pub(super) fn stages_of(&self, value: &str, stage: Option<Stage>) -> BTreeSet<Stage> {
        let led_to = self
            .owners_in(value)
            .into_iter()
            .filter_map(|(_, owner)| match owner {
                Owner::Stage(stage) => Some(*stage),
                Owner::Unknown(_) => None,
            });
        let mut stages: BTreeSet<Stage> = led_to.collect();
        let readings = readings(value);
        let own = self.secrets.iter().find(|(of, _)| Some(*of) == stage);
        let is_own = |secret: &SecretString| {
            let own = own.into_iter().flat_map(|(_, secrets)| secrets);
            own.into_iter()
                .any(|own| own.expose_secret() == secret.expose_secret())
        };
        for (of, secrets) in &self.secrets {
            let is_held = secrets
                .iter()
                .filter(|secret| !is_own(secret))
                .any(|secret| {
                    let mut readings = readings.iter();
                    readings.any(|reading| reading.contains(secret.expose_secret()))
                });
            if is_held {
                stages.insert(*of);
            }
        }
        stages
    }

    /// The databases that a value leads to and that are no known stage's, for messages. A value
    /// that leads to a stage's database too has none, and a second reading of a text that has a plain
    /// one does not count.
    pub(super) fn unknown_in(&self, value: &str) -> BTreeSet<String> {
        let owners = self.owners_in(value);
        if owners
            .iter()
            .any(|(_, owner)| matches!(owner, Owner::Stage(_)))
        {
            return BTreeSet::new();
        }
        let has_plain = owners.iter().any(|(found, _)| !found.is_ambiguous);
        let counted = |(found, _): &&(ConnectionString, Owner)| !(has_plain && found.is_ambiguous);
        let password = PasswordParts::of(value);
        let unknown = owners.into_iter().filter(counted).map(|(found, owner)| {
            let shown = password.describe(found);
            let is_whole = shown.as_ref() == Some(&found.to_string());
            let shown = shown.unwrap_or_else(|| UNNAMED.to_owned());
            match owner {
                // The reason may repeat the names.
                Owner::Unknown(Some(reason)) if is_whole && !password.occur_in(reason) => {
                    format!("{shown}, which was not checked ({reason})")
                }
                Owner::Unknown(Some(_)) => format!("{shown}, which was not checked"),
                _ => shown,
            }
        });
        unknown.collect()
    }

    fn owners_in(&self, value: &str) -> Vec<&(ConnectionString, Owner)> {
        let found = strings_in(value);
        let is_in = |owned: &&(ConnectionString, Owner)| {
            found.iter().any(|found| found.is_same_as(&owned.0))
        };
        self.owners.iter().filter(is_in).collect()
    }

    /// Unknown owners of all databases in a value, for tests of messages.
    #[cfg(test)]
    pub(super) fn unknown(value: &str) -> Self {
        let owner = |found: ConnectionString| {
            let reason = format!("{} refused {:?} {}", found.host, found.user, found.database);
            (found, Owner::Unknown(Some(reason)))
        };
        Self {
            owners: strings_in(value).into_iter().map(owner).collect(),
            secrets: Vec::new(),
        }
    }

    /// Owners without a database, with these secrets.
    #[cfg(test)]
    pub(super) fn of_secrets(secrets: Vec<(Stage, Vec<SecretString>)>) -> Self {
        Self {
            owners: Vec::new(),
            secrets,
        }
    }
}

fn strings_in(value: &str) -> Vec<ConnectionString> {
    let readings = readings(value);
    let found = readings
        .iter()
        .flat_map(|reading| connection_strings(reading));
    found.collect()
}

/// Returns whether a connection string names the server and the database of a stage, or those of
/// the database behind its pooler.
fn is_named_by(known: &StageDatabase, found: &ConnectionString) -> bool {
    let credentials = known.credentials();
    let urls = std::iter::once(credentials.url()).chain(credentials.direct());
    urls.into_iter().any(|url| found.is_at(url))
}

/// Shorter secrets may occur in a value by chance.
const MIN_SECRET_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_databases_are_named_beside_no_stages_database() {
        let unknown = |value: &str| UrlOwners::unknown(value).unknown_in(value);
        let shown = unknown("postgres://u:c4n4ry@h/d");
        let expected = "d on h:5432, which was not checked (h refused Some(\"u\") d)";
        assert_eq!(shown, [expected.to_owned()].into());
        let shown = unknown("postgres://u:c4n4ry@x/y@h/d");
        assert!(shown.iter().all(|text| !text.contains('@')), "{shown:?}");
        let value = "postgres://u:p@h/d";
        let mut owners = UrlOwners::unknown("postgres://u:p@h/d postgres://u:p@i/e");
        owners.owners[0].1 = Owner::Stage(Stage::STAGING);
        assert!(owners.unknown_in(value).is_empty());
        assert!(
            owners
                .unknown_in("postgres://u:p@h/d postgres://u:p@i/e")
                .is_empty()
        );
    }
}
