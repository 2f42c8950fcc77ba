//! Handing in a dump: part by part, to the links that the dispatcher gives.

mod dump;
mod links;
pub(crate) mod parts;
mod send;

pub(crate) use dump::{Dump, database_name};
pub(crate) use send::{how_to_resume, send};
