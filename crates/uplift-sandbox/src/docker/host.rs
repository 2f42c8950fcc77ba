//! A Docker daemon.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error,
    query_parameters::{
        ListContainersOptions, ListImagesOptions, ListVolumesOptions, RemoveContainerOptions,
        RemoveVolumeOptions,
    },
};
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use super::postgres;
use crate::{DockerConfig, Label, Limits, SandboxError, error::status, postgres::Postgres};

/// The API of Docker 20.10, which is the oldest that this was tried on.
const OLDEST_API: (usize, usize) = (1, 41);

/// How long the daemon may take for an answer.
const ANSWER: Duration = Duration::from_secs(120);

/// How long removing one sandbox may take. It takes a second; the rest is for a host under load.
const REMOVAL: Duration = Duration::from_secs(60);

/// A Docker daemon that opens sandboxes. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Host {
    pub(super) docker: Docker,
    pub(super) config: Arc<DockerConfig>,
}

impl Host {
    /// Connects, and sees that the daemon answers and is recent enough.
    pub(crate) async fn connect(config: &DockerConfig) -> Result<Self, SandboxError> {
        let socket = socket(config)?;
        let unreachable =
            |source| SandboxError::Unreachable { socket: socket.clone(), source: Box::new(source) };
        let docker =
            Docker::connect_with_unix(&socket, ANSWER.as_secs(), API_DEFAULT_VERSION).map_err(unreachable)?;
        let docker = docker.negotiate_version().await.map_err(unreachable)?;
        let spoken = docker.client_version();
        if (spoken.major_version, spoken.minor_version) < OLDEST_API {
            return Err(SandboxError::TooOld {
                found: format!("{}.{}", spoken.major_version, spoken.minor_version),
                needed: format!("{}.{}", OLDEST_API.0, OLDEST_API.1),
            });
        }
        Ok(Self { docker, config: Arc::new(config.clone()) })
    }

    /// Asks whether Docker answers.
    pub(crate) async fn ping(&self) -> Result<(), SandboxError> {
        self.docker.ping().await.map(drop).map_err(SandboxError::docker("ask whether Docker answers"))
    }

    /// The Postgres majors for which this host has both images, in rising order.
    pub(crate) async fn majors(&self) -> Result<Vec<u16>, SandboxError> {
        let names = ["postgres", "engine"].map(|kind| format!("{}/{kind}", self.config.images));
        let filters = Some(HashMap::from([("reference".to_owned(), names.to_vec())]));
        let options = ListImagesOptions { filters, ..Default::default() };
        let images =
            self.docker.list_images(Some(options)).await.map_err(SandboxError::docker("list images"))?;
        let tags: Vec<String> = images.into_iter().flat_map(|image| image.repo_tags).collect();
        let [postgres, engine] = names.map(|name| majors_of(&name, &tags));
        Ok(postgres.intersection(&engine).copied().collect())
    }

    /// The newest of them.
    pub(crate) async fn newest(&self) -> Result<u16, SandboxError> {
        let missing = || SandboxError::ImageMissing { image: format!("{}/engine", self.config.images) };
        self.majors().await?.pop().ok_or_else(missing)
    }

    /// Starts a Postgres of its own for a sandbox.
    pub(crate) async fn open(
        &self,
        label: &Label,
        major: u16,
        limits: &Limits,
    ) -> Result<Postgres, SandboxError> {
        let image = self.image("postgres", major);
        postgres::start(&self.docker, &self.config.fleet, label, image, limits).await
    }

    /// Whose containers and volumes are there, each once.
    pub(crate) async fn leftovers(&self) -> Result<Vec<Label>, SandboxError> {
        let filter = Label::filter_fleet(&self.config.fleet);
        let (containers, volumes) = self.list(&filter).await?;
        let labels = containers.iter().chain(&volumes).filter_map(|(_, labels)| Label::from_map(labels));
        Ok(labels.collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Removes everything of this request and attempt, whichever worker made it: running or not, volumes too.
    /// Nothing there is fine.
    pub(crate) async fn remove(&self, label: &Label) -> Result<(), SandboxError> {
        let filter = label.filter(&self.config.fleet);
        timeout(REMOVAL, self.remove_all(&filter)).await.unwrap_or_else(|_| {
            Err(SandboxError::NotRemoved {
                request: label.request.to_string(),
                attempt: label.epoch.to_string(),
            })
        })
    }

    /// The name of one of our images.
    pub(super) fn image(&self, kind: &str, major: u16) -> String {
        format!("{}/{kind}:{major}", self.config.images)
    }

    /// Removes and looks again until there is nothing: a removal may be under way elsewhere, and a volume cannot go
    /// before its container.
    async fn remove_all(&self, filter: &HashMap<String, Vec<String>>) -> Result<(), SandboxError> {
        loop {
            let (containers, volumes) = self.list(filter).await?;
            if containers.is_empty() && volumes.is_empty() {
                return Ok(());
            }
            let removed = join_all(containers.iter().map(|(id, _)| {
                let options = RemoveContainerOptions { v: true, force: true, link: false };
                self.docker.remove_container(id, Some(options))
            }));
            for result in removed.await {
                gone_or_going(result).map_err(SandboxError::docker("remove a container"))?;
            }
            for (name, _) in &volumes {
                let result = self.docker.remove_volume(name, None::<RemoveVolumeOptions>).await;
                gone_or_going(result).map_err(SandboxError::docker("remove a volume"))?;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Containers by id and volumes by name, with their labels.
    async fn list(&self, filter: &HashMap<String, Vec<String>>) -> Result<(Found, Found), SandboxError> {
        let options =
            ListContainersOptions { all: true, filters: Some(filter.clone()), ..Default::default() };
        let containers = self.docker.list_containers(Some(options)).await;
        let containers = containers.map_err(SandboxError::docker("list containers"))?;
        let options = ListVolumesOptions { filters: Some(filter.clone()) };
        let volumes = self.docker.list_volumes(Some(options)).await;
        let volumes = volumes.map_err(SandboxError::docker("list volumes"))?.volumes.unwrap_or_default();
        Ok((
            containers.into_iter().filter_map(|found| Some((found.id?, found.labels?))).collect(),
            volumes.into_iter().map(|found| (found.name, found.labels)).collect(),
        ))
    }
}

type Found = Vec<(String, HashMap<String, String>)>;

/// The majors among the tags of one image.
fn majors_of(image: &str, tags: &[String]) -> BTreeSet<u16> {
    tags.iter().filter_map(|tag| tag.strip_prefix(image)?.strip_prefix(':')?.parse().ok()).collect()
}

/// Whether a removal has done its work, or somebody else's is doing it.
fn gone_or_going(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if !matches!(status(&error), Some(404 | 409)) => Err(error),
        _ => Ok(()),
    }
}

/// The path of the daemon's socket.
fn socket(config: &DockerConfig) -> Result<String, SandboxError> {
    if let Some(path) = &config.socket {
        return Ok(path.display().to_string());
    }
    match std::env::var("DOCKER_HOST") {
        Ok(host) if !host.is_empty() => {
            host.strip_prefix("unix://").map(str::to_owned).ok_or(SandboxError::NotASocket(host))
        }
        _ => Ok("/var/run/docker.sock".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn majors_are_read_from_tags() {
        let tags = ["uplift/engine:15", "uplift/engine:latest", "uplift/engine-x:16", "other/engine:17"];
        let tags = tags.map(String::from);
        assert_eq!(majors_of("uplift/engine", &tags), BTreeSet::from([15]));
    }
}
