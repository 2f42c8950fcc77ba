//! Sandboxes of plain processes: a cluster in a directory, and the same engine beside it. The same function as in
//! containers, and no containment: what a dump does, it does as an ordinary user of this machine.

mod cluster;
mod directory;
mod host;
mod job;
mod template;

pub(crate) use host::Host;
pub(crate) use job::Group;
