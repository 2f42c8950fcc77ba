//! A host, of either kind: what sandboxes it can open, and which are there.

use crate::{Kind, Label, Limits, Sandbox, SandboxConfig, SandboxError, docker, process};

/// Opens sandboxes. Cloning it is cheap.
#[derive(Clone)]
pub struct Host(pub(crate) Inner);

#[derive(Clone)]
pub(crate) enum Inner {
    Docker(docker::Host),
    Process(process::Host),
}

impl Host {
    /// Finds what the configuration asks for. A host of processes says in the log what it does not contain.
    ///
    /// # Errors
    ///
    /// Docker is out of reach or too old; or this machine lacks Postgres, the engine, or a directory that the user
    /// who is to run them may enter.
    pub async fn connect(config: &SandboxConfig) -> Result<Self, SandboxError> {
        let inner = match config.kind {
            Kind::Docker => Inner::Docker(docker::Host::connect(&config.docker).await?),
            Kind::Process => Inner::Process(process::Host::find(&config.process).await?),
            Kind::Auto => match docker_with_images(config).await {
                Ok(docker) => Inner::Docker(docker),
                Err(error) => {
                    tracing::info!(%error, "no sandboxes in Docker, so they are processes");
                    Inner::Process(process::Host::find(&config.process).await?)
                }
            },
        };
        let host = Self(inner);
        match host.0 {
            Inner::Docker(_) => tracing::info!(sandbox = host.to_string(), "sandboxes"),
            Inner::Process(_) => tracing::warn!(sandbox = host.to_string(), "sandboxes contain nothing"),
        }
        Ok(host)
    }

    /// Of which kind it is; never [`Kind::Auto`].
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.0 {
            Inner::Docker(_) => Kind::Docker,
            Inner::Process(_) => Kind::Process,
        }
    }

    /// Asks whether it can work at the moment.
    ///
    /// # Errors
    ///
    /// What keeps it from that.
    pub async fn ping(&self) -> Result<(), SandboxError> {
        match &self.0 {
            Inner::Docker(host) => host.ping().await,
            Inner::Process(host) => host.ping(),
        }
    }

    /// The Postgres majors that sandboxes can have, in rising order.
    ///
    /// # Errors
    ///
    /// What Docker says.
    pub async fn majors(&self) -> Result<Vec<u16>, SandboxError> {
        match &self.0 {
            Inner::Docker(host) => host.majors().await,
            Inner::Process(host) => Ok(host.majors()),
        }
    }

    /// Opens a sandbox with a fresh Postgres, and waits until that accepts. Where it fails, nothing is left behind.
    ///
    /// # Errors
    ///
    /// [`SandboxError::ImageMissing`], [`SandboxError::NoPostgres`], [`SandboxError::PostgresDidNotStart`], or what
    /// Docker or the system says.
    pub async fn open(&self, label: &Label, major: u16, limits: &Limits) -> Result<Sandbox, SandboxError> {
        let opened = match &self.0 {
            Inner::Docker(host) => host.open(label, major, limits).await,
            Inner::Process(host) => host.open(label, major, limits).await,
        };
        match opened {
            Ok(postgres) => Ok(Sandbox {
                host: self.clone(),
                label: *label,
                major,
                limits: *limits,
                postgres: Some(postgres),
            }),
            Err(failed) => {
                if let Err(error) = self.remove(label).await {
                    // The reaper comes by; what failed first is what the caller needs to hear.
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(request.id = %label.request, error, "remove a sandbox that did not open");
                }
                Err(failed)
            }
        }
    }

    /// A sandbox without Postgres, for engine commands that need none. Nothing exists before its first job does.
    ///
    /// # Errors
    ///
    /// [`SandboxError::ImageMissing`] where Docker has no image at all, or what Docker says.
    pub async fn without_postgres(&self, label: &Label, limits: &Limits) -> Result<Sandbox, SandboxError> {
        let major = match &self.0 {
            Inner::Docker(host) => host.newest().await?,
            Inner::Process(host) => host.newest()?,
        };
        Ok(Sandbox { host: self.clone(), label: *label, major, limits: *limits, postgres: None })
    }

    /// Whose sandboxes, or parts of them, are there, each once.
    ///
    /// # Errors
    ///
    /// What Docker or the system says.
    pub async fn leftovers(&self) -> Result<Vec<Label>, SandboxError> {
        match &self.0 {
            Inner::Docker(host) => host.leftovers().await,
            Inner::Process(host) => host.leftovers(),
        }
    }

    /// Removes everything of this request and attempt, whichever worker made it: running or not, data too. Nothing
    /// there is fine.
    ///
    /// # Errors
    ///
    /// [`SandboxError::NotRemoved`] after a minute, or what Docker or the system says.
    pub async fn remove(&self, label: &Label) -> Result<(), SandboxError> {
        match &self.0 {
            Inner::Docker(host) => host.remove(label).await,
            Inner::Process(host) => host.remove(label).await,
        }
    }
}

/// What sandboxes are, and what that means, in a line for people.
impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Inner::Docker(_) => {
                f.write_str("docker: dumps are restored in containers that they cannot leave")
            }
            Inner::Process(host) => host.fmt(f),
        }
    }
}

async fn docker_with_images(config: &SandboxConfig) -> Result<docker::Host, SandboxError> {
    let host = docker::Host::connect(&config.docker).await?;
    host.newest().await?;
    Ok(host)
}
