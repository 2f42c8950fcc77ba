//! The spans of an attempt, as its parts begin and end. What they are called stands in [`uplift_platform::boot::spans`].

use futures_util::future::BoxFuture;
use tracing::{Instrument as _, Span};
use uplift_core::{
    WorkerId,
    event::{Event, StepDone},
};
use uplift_platform::{
    boot::{
        spans,
        trace::{self, Work},
    },
    hints::Hint,
    ledger::Claimed,
};

use crate::outcome::Ended;

/// The spans of an attempt and of its claim, begun before it is known whether there is anything to claim. Dropped, they
/// were never there.
pub(crate) struct Claiming {
    attempt: Span,
    claim: Span,
    taken: bool,
}

impl Claiming {
    /// The worker is about to ask, because of a hint or because it is time.
    pub(crate) fn begin(worker: WorkerId, hint: Option<&Hint>) -> Self {
        // First, since it holds the claim.
        let attempt = spans::attempt(worker);
        let claim = spans::claim();
        if let Some(hint) = hint {
            spans::claim_hinted(&claim);
            // It may be of another request: a worker takes the best one.
            hint.traceparent.iter().for_each(|published| trace::link(&claim, published));
        }
        Self { attempt, claim, taken: false }
    }

    /// There is an attempt: a trace of its own, which begins with the claim and is linked to the submission's. A trace
    /// that waits in a queue for hours, or is tried again, would be one that nobody can read.
    pub(crate) fn taken(mut self, claimed: &Claimed) -> Span {
        self.taken = true;
        spans::attempt_of(&self.attempt, &claimed.lease, claimed.request.purpose);
        claimed.request.traceparent.iter().for_each(|submission| trace::link(&self.attempt, submission));
        trace::adopt(&self.attempt, &self.claim);
        self.attempt.clone()
    }
}

impl Drop for Claiming {
    fn drop(&mut self) {
        if !self.taken {
            trace::discard(&self.claim);
            trace::discard(&self.attempt);
        }
    }
}

/// Does a part of an attempt within its span. Boxed, so that an attempt is no future in a future in a future, deeper
/// than the compiler follows.
pub(crate) async fn within<'a, T>(
    span: Span,
    part: impl Future<Output = Result<T, Ended>> + Send + 'a,
) -> Result<T, Ended> {
    let work = Work::begin(span);
    let part: BoxFuture<'a, Result<T, Ended>> = Box::pin(part);
    let done = part.instrument(work.span()).await;
    work.end(done.as_ref().err().map(Ended::code));
    done
}

/// The step that runs, as the engine tells it.
#[derive(Default)]
pub(crate) struct Steps(Option<Work>);

impl Steps {
    /// A step begins or ends.
    pub(crate) fn hear(&mut self, event: &Event) {
        match event {
            Event::StepStarted { step } => self.0 = Some(Work::begin(spans::step(step))),
            Event::StepDone(StepDone { rows, notices, .. }) => {
                if let Some(work) = self.0.take() {
                    spans::step_done(&work.span(), *rows, *notices);
                    work.end(None);
                }
            }
            _ => {}
        }
    }

    /// The engine has ended; a step that still runs has failed for that reason.
    pub(crate) fn end(self, why: Option<&Ended>) {
        if let (Some(work), Some(why)) = (self.0, why) {
            work.end(Some(why.code()));
        }
    }
}
