//! What can go wrong between a worker and its host.

use std::{io, path::PathBuf};

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
    /// Postgres ended, or did not accept in time.
    #[error("Postgres did not start: {why}")]
    PostgresDidNotStart {
        /// The exit and the last lines of its log.
        why: String,
    },
    /// The connection that carries a job's bytes broke in the middle of a frame.
    #[error("the attach connection broke")]
    AttachBroke,
    /// Something of a sandbox was still there after a minute of removing it.
    #[error(
        "what belongs to request {request} attempt {attempt} cannot be removed: look at `docker ps -a`, or at the \
         processes and files of the sandbox's directory"
    )]
    NotRemoved {
        /// The request.
        request: String,
        /// The attempt.
        attempt: String,
    },
    /// This machine has no Postgres, or not of that major.
    #[error(
        "{what} not on this machine, neither below /usr/lib/postgresql nor on PATH: install Debian's package \
         postgresql, or use Docker"
    )]
    NoPostgres {
        /// What is missing, with its verb: `PostgreSQL 17 is`.
        what: String,
    },
    /// The engine's program was not found.
    #[error("uplift-engine is neither beside this program nor on PATH: build or install it")]
    NoEngine,
    /// Postgres does not run as root, and whom it is to run as cannot get at its files.
    #[error(
        "{} cannot be entered by user {user}, as whom Postgres and the engine run in place of root: choose a \
         directory that others may enter, such as one below /var/lib", directory.display()
    )]
    Unenterable {
        /// Where the sandboxes are to be.
        directory: PathBuf,
        /// The user's name.
        user: String,
    },
    /// The system refused something.
    #[error("{doing}")]
    System {
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program that prepares a sandbox failed.
    #[error("{doing}: `{program}` ended with {status}: {said}")]
    Program {
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// Which program.
        program: String,
        /// How it ended.
        status: String,
        /// What it said last.
        said: String,
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
            | Self::NoEngine
            | Self::NoPostgres { .. }
            | Self::NotASocket(_)
            | Self::NotRemoved { .. }
            | Self::PostgresDidNotStart { .. }
            | Self::Program { .. }
            | Self::System { .. }
            | Self::TooOld { .. }
            | Self::Unenterable { .. } => false,
        }
    }

    /// For `map_err`: names what was being done.
    pub(crate) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
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
