//! Sandboxes in containers.

mod container;
mod files;
mod host;
mod job;
mod postgres;

pub(crate) use host::Host;
pub(crate) use job::Container;
