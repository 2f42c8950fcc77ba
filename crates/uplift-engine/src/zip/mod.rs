//! Zips as Odoo makes them, read and written as a stream: no file is there to seek in, and memory does not grow with
//! what is packed, only by some bytes for each entry.
//!
//! The format is PKWARE's APPNOTE.TXT 6.3.10. Taken are stored and deflated entries, with ZIP64 and with sizes behind
//! the data. Everything that an entry's header says is checked against its bytes and against the directory at the end.

mod body;
mod copy;
mod error;
mod files;
mod record;
mod walk;
mod write;

#[cfg(test)]
mod tests;

use std::io::{self, Read};

use uplift_core::event::Files;

pub use error::ZipError;
pub(crate) use files::Tally;
pub(crate) use walk::{Role, Walker};
pub(crate) use write::{Content, Zip};

/// Gives the SQL of a zip's dump to `take`, checks all other entries, and says what they are.
///
/// # Errors
/// What source or `take` say, and whatever is wrong with the zip.
pub(crate) fn sql(
    source: impl Read,
    limit: u64,
    mut take: impl FnMut(&mut dyn Read) -> io::Result<()>,
) -> io::Result<Files> {
    let mut walker = Walker::new(source, limit);
    let (mut tally, mut found) = (Tally::default(), false);
    while let Some(entry) = walker.next()? {
        match entry.role() {
            Role::Dump => {
                take(&mut walker.body(&entry))?;
                found = true;
            }
            Role::Manifest => drop(io::copy(&mut walker.body(&entry), &mut io::sink())?),
            Role::File => {
                io::copy(&mut walker.body(&entry), &mut io::sink())?;
                tally.add(&entry.name, walker.last());
            }
        }
    }
    while walker.central()?.is_some() {}
    walker.end()?;
    if found { Ok(tally.files()) } else { Err(ZipError::NoDump.into()) }
}
