//! Ctrl-C and SIGTERM: the command ends what it started instead of dying in the middle.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

static ASKED_TO_STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From here on, a signal is noted rather than fatal.
pub(crate) fn install() -> Result<()> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ASKED_TO_STOP)).context("install signal handlers")?;
    }
    Ok(())
}

/// Whether someone asked this command to stop.
pub(crate) fn asked() -> bool {
    ASKED_TO_STOP.load(Ordering::Relaxed)
}

/// Fails if someone asked this command to stop.
pub(crate) fn check() -> Result<()> {
    if asked() {
        bail!("interrupted");
    }
    Ok(())
}

/// Forgets the request, so that cleaning up may wait for processes to end.
pub(crate) fn clear() {
    ASKED_TO_STOP.store(false, Ordering::Relaxed);
}

/// Asks `done` again and again until it yields a value; `None` when `limit` has passed.
///
/// # Errors
///
/// What `done` fails with, or that someone asked this command to stop.
pub(crate) fn poll<T>(limit: Duration, mut done: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let begin = Instant::now();
    loop {
        if let Some(value) = done()? {
            return Ok(Some(value));
        }
        check()?;
        if begin.elapsed() > limit {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(50));
    }
}
