//! The Docker volume that keeps a container's databases.

use crate::Error;
use crate::data_directory::{Contents, DataDirectory};
use crate::docker::engine::DockerEngine;
use crate::random::unique_name;

/// A Docker volume for databases that are kept.
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) is_new: bool,
    /// The path in the container at which the volume is mounted.
    pub(super) mount_point: String,
}

impl Volume {
    /// Returns the volume that a data directory has recorded, or a new one.
    pub(super) async fn for_data_directory(
        directory: &DataDirectory,
        engine: DockerEngine,
        image: &str,
    ) -> Result<Self, Error> {
        let mount_point = engine.image_pgdata(image).await?;
        let (name, is_new) = match directory.contents()? {
            Contents::Volume { volume, .. } => {
                let inspect = ["volume", "inspect", "--format", "{{.Name}}", &volume];
                let is_new = engine.run(&inspect, "").await.is_err();
                (volume, is_new)
            }
            _ => (unique_name(), true),
        };
        Ok(Self {
            name,
            is_new,
            mount_point,
        })
    }
}
