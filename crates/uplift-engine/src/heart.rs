//! Something that is done at intervals beside the work, for as long as the work goes on.

use std::{
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Beats until it is dropped; after that, not once more.
pub(crate) struct Heart {
    /// Dropped to stop it.
    leash: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heart {
    pub(crate) fn start(every: Duration, beat: impl Fn() + Send + 'static) -> Self {
        let (leash, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                beat();
            }
        });
        Self { leash: Some(leash), thread: Some(thread) }
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        drop(self.leash.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{TryRecvError, channel},
        time::Duration,
    };

    use super::Heart;

    #[test]
    fn a_heart_beats_until_it_is_dropped() {
        let (beat, beats) = channel();
        let heart = Heart::start(Duration::from_millis(1), move || {
            let _ = beat.send(());
        });
        for _ in 0..3 {
            beats.recv().unwrap();
        }
        drop(heart);
        while let Ok(()) = beats.try_recv() {}
        assert_eq!(beats.try_recv(), Err(TryRecvError::Disconnected));
    }
}
