//! A disposable Postgres and what runs beside it, in containers that hostile bytes cannot leave.
//!
//! A [`Host`] is a Docker daemon. It opens a [`Sandbox`]: a Postgres container on a fresh cluster, reachable by
//! its unix socket only. Beside it jobs run to completion, one after another: the engine, or a runner image. A
//! [`Running`] job is fed on stdin and read from stdout and stderr, and ends in an [`Exit`].
//!
//! What this crate never does: it gives no container a network, a capability or root; it never uses `exec` nor
//! the archive API; it keeps no state of its own. What exists is what Docker says exists, by [`Label`], so a
//! sandbox whose worker died is found ([`Host::leftovers`]) and removed ([`Host::remove`]) by any other.
//!
//! Dropping a [`Sandbox`] removes nothing, since a drop cannot wait: call [`Sandbox::remove`], or leave it to the
//! reaper.

mod config;
mod container;
mod error;
mod host;
mod job;
mod label;
mod limits;
mod postgres;
mod sandbox;
mod stdin;

pub use config::DockerConfig;
pub use error::SandboxError;
pub use host::Host;
pub use job::{Exit, Handle, Job, Output, OutputStream, Running};
pub use label::Label;
pub use limits::Limits;
pub use postgres::Death;
pub use sandbox::Sandbox;
pub use stdin::Stdin;
