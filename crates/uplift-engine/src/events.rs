//! What the engine says: JSON lines on stderr.

use std::{
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use postgres::error::DbError;
use uplift_core::event::{Event, Level, Stage};

use crate::{failure::excerpt, heart::Heart};

/// Notices of Postgres beyond this many are counted and not passed on.
const MAX_NOTICES: u64 = 2000;

/// Progress is told at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// How often the engine says that it lives; [`Event::Alive`] promises it.
const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// The way to the worker; clones share it.
#[derive(Clone, Default)]
pub struct Events {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    notices: AtomicU64,
    progress: Mutex<Option<Instant>>,
}

impl Events {
    /// Says one thing. A worker that no longer listens is gone, and its sandbox with it: nothing to do then.
    pub fn emit(&self, event: &Event) {
        let Ok(mut line) = serde_json::to_vec(event) else { return };
        line.push(b'\n');
        let _ = std::io::stderr().lock().write_all(&line);
    }

    /// Says again and again that the engine lives, until what is returned is dropped.
    pub(crate) fn alive(&self) -> Heart {
        let events = self.clone();
        Heart::start(ALIVE_EVERY, move || events.emit(&Event::Alive))
    }

    /// A line for the customer's log.
    pub fn info(&self, text: impl Into<String>) {
        self.emit(&Event::Log { level: Level::Info, text: text.into() });
    }

    /// A line for the customer's log that is worth a look.
    pub fn warning(&self, text: impl Into<String>) {
        self.emit(&Event::Log { level: Level::Warning, text: text.into() });
    }

    /// How far a stage is. Said now and then; what falls between is not, and neither is that nothing is done yet.
    pub fn progress(&self, stage: Stage, done: u64, total: u64) {
        if done == 0 {
            return;
        }
        let now = Instant::now();
        if let Ok(mut last) = self.shared.progress.lock() {
            if last.is_some_and(|last| now.duration_since(last) < PROGRESS_EVERY) {
                return;
            }
            *last = Some(now);
        }
        self.emit(&Event::Progress { stage, done, total });
    }

    /// A stage is through.
    pub fn complete(&self, stage: Stage, total: u64) {
        self.emit(&Event::Progress { stage, done: total, total });
    }

    /// How many notices Postgres has raised so far.
    pub fn notices(&self) -> u64 {
        self.shared.notices.load(Ordering::Relaxed)
    }

    /// Passes on what Postgres says aside.
    pub fn notice(&self, notice: &DbError) {
        let count = self.shared.notices.fetch_add(1, Ordering::Relaxed);
        let level = if notice.severity() == "WARNING" { Level::Warning } else { Level::Info };
        if count < MAX_NOTICES {
            let text = format!("{}: {}", notice.severity(), excerpt(notice.message()));
            self.emit(&Event::Log { level, text });
        } else if count == MAX_NOTICES {
            self.warning(format!("more than {MAX_NOTICES} notices: the rest is counted and not shown"));
        }
    }
}
