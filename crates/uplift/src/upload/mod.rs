//! Handing in a dump and scripts: part by part, to the links that the dispatcher gives.

mod dump;
mod growth;
mod links;
pub(crate) mod parts;
mod put;
mod scripts;
mod send;

pub(crate) use dump::{Dump, database_name};
pub(crate) use growth::Growth;
pub(crate) use scripts::{ScriptsFile, send as send_scripts};
pub(crate) use send::{how_to_resume, send, send_growing};
