//! A disposable Postgres and what runs beside it.
//!
//! A [`Host`] opens a [`Sandbox`]: a Postgres on a fresh cluster, reachable by its unix socket only. Beside it jobs
//! run to completion, one after another: the engine, or a runner with a watch beside it. A [`Running`] job is fed on stdin and read from
//! stdout and stderr, and ends in an [`Exit`].
//!
//! There are two kinds of host. [`docker`] runs everything in containers that hostile bytes cannot leave: it gives no
//! container a network, a capability or root, and never uses `exec` nor the archive API. [`process`] runs the same
//! programs as plain processes, for a machine without Docker and for dumps that one trusts: the same function, and no
//! containment.
//!
//! Neither keeps state of its own. What exists is what Docker, or the host's directory, says exists, by [`Label`]; so
//! a sandbox whose worker died is found ([`Host::leftovers`]) and removed ([`Host::remove`]) by any other.
//!
//! Dropping a [`Sandbox`] removes nothing, since a drop cannot wait: call [`Sandbox::remove`], or leave it to the
//! reaper.

mod config;
mod docker;
mod error;
mod host;
mod job;
mod label;
mod limits;
pub mod local;
mod postgres;
mod process;
mod sandbox;
mod stdin;

pub use config::{DockerConfig, Kind, ProcessConfig, SandboxConfig};
pub use error::SandboxError;
pub use host::Host;
pub use job::{Exit, Handle, Job, Output, OutputStream, Runner, Running};
pub use label::Label;
pub use limits::Limits;
pub use postgres::Death;
pub use sandbox::Sandbox;
pub use stdin::Stdin;
