//! What can go wrong between a worker and Docker.

use bollard::errors::Error as Docker;

/// Why a sandbox could not be opened, used or removed.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Nobody answers: the daemon is down, or this process may not open its socket.
    #[error(
        "Docker does not answer at {socket}: start it, or set DOCKER_HOST or the socket in the configuration"
    )]
    Unreachable {
        /// The socket that was tried.
        socket: String,
        /// What the attempt met.
        #[source]
        source: Box<Docker>,
    },
    /// `DOCKER_HOST` names something else than a unix socket.
    #[error("DOCKER_HOST is {0}, but sandboxes need a unix socket: set it to unix:///path/to/docker.sock")]
    NotASocket(String),
    /// The daemon is older than what the sandbox relies on.
    #[error(
        "Docker speaks API {found}, and sandboxes need {needed} or later: upgrade Docker to 20.10 or later"
    )]
    TooOld {
        /// The daemon's API version.
        found: String,
        /// The oldest that will do.
        needed: String,
    },
    /// An image is not on this host.
    #[error("image {image} is not on this Docker host: build it with `cargo xtask images`, or pull it")]
    ImageMissing {
        /// Name and tag.
        image: String,
    },
    /// The Postgres container ended, or did not accept in time.
    #[error("Postgres did not start: {why}")]
    PostgresDidNotStart {
        /// The exit and the last lines of its log.
        why: String,
    },
    /// The connection that carries a job's bytes broke in the middle of a frame.
    #[error("the attach connection broke")]
    AttachBroke,
    /// A sandbox's containers or volumes were still there after a minute of removing them.
    #[error(
        "containers or volumes of request {request} attempt {attempt} cannot be removed: look at `docker ps -a`"
    )]
    NotRemoved {
        /// The request.
        request: String,
        /// The attempt.
        attempt: String,
    },
    /// Docker refused or failed.
    #[error("{doing}")]
    Docker {
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// What Docker said.
        #[source]
        source: Box<Docker>,
    },
}

impl SandboxError {
    /// Whether Docker itself is out of reach, which says nothing about the request: stop claiming, and count no
    /// attempt.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Docker { source, .. } => no_answer(source),
            Self::AttachBroke
            | Self::ImageMissing { .. }
            | Self::NotASocket(_)
            | Self::NotRemoved { .. }
            | Self::PostgresDidNotStart { .. }
            | Self::TooOld { .. } => false,
        }
    }

    /// For `map_err`: names what was being done.
    pub(crate) fn docker(doing: &'static str) -> impl FnOnce(Docker) -> Self {
        move |source| Self::Docker { doing, source: Box::new(source) }
    }
}

/// Whether the error comes from the way to the daemon, and not from the daemon.
fn no_answer(error: &Docker) -> bool {
    matches!(
        error,
        Docker::HyperLegacyError { .. }
            | Docker::HyperResponseError { .. }
            | Docker::IOError { .. }
            | Docker::RequestTimeoutError
            | Docker::SocketNotFoundError(_)
    )
}

/// The HTTP status that the daemon answered with.
pub(crate) fn status(error: &Docker) -> Option<u16> {
    match error {
        Docker::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}
