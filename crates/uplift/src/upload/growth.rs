//! How long a file is that is still being written, between the one who writes and the one who sends.

use std::{
    io,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// How far the writing is.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    at: Mutex<At>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct At {
    bytes: u64,
    /// Whether that is all; or why no more comes.
    ended: Option<Result<(), String>>,
}

impl Growth {
    /// So many bytes more are there.
    pub(crate) fn add(&self, bytes: u64) {
        self.lock().bytes += bytes;
        self.moved.notify_all();
    }

    /// Nothing more comes: it is whole, or it failed.
    pub(crate) fn end(&self, how: Result<(), String>) {
        self.lock().ended.get_or_insert(how);
        self.moved.notify_all();
    }

    /// Waits until so many bytes are there, or it is whole. Gives how many are there.
    pub(crate) fn wait(&self, bytes: u64) -> io::Result<u64> {
        let waits = |at: &mut At| at.bytes < bytes && at.ended.is_none();
        let at = self.moved.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        match &at.ended {
            Some(Err(why)) => Err(io::Error::other(why.clone())),
            _ => Ok(at.bytes),
        }
    }

    fn lock(&self) -> MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::Growth;

    #[test]
    fn a_reader_waits_for_what_it_wants_or_for_the_end() {
        let growth = Arc::new(Growth::default());
        growth.add(3);
        assert_eq!(growth.wait(2).unwrap(), 3);
        let reader = {
            let growth = Arc::clone(&growth);
            thread::spawn(move || growth.wait(10).unwrap())
        };
        growth.add(4);
        growth.end(Ok(()));
        assert_eq!(reader.join().unwrap(), 7, "shorter than wanted, and whole");
        let broken = Growth::default();
        broken.add(9);
        broken.end(Err("no room".into()));
        assert!(broken.wait(1).is_err(), "half a dump is none");
    }
}
