//! What the ledger should do, in a few lines without SQL: the model that the property test compares it with.

use uplift_core::{
    Failure, Lease, WorkerId,
    failure::Verdict,
    request::{StateCode, Transition},
};

/// How many databases the requests of a case belong to.
pub(super) const DATABASES: usize = 3;
/// How many requests of a case's account may run at once.
pub(super) const MAX_RUNNING: usize = 2;

/// A request as it should be.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) database: usize,
    pub(super) production: bool,
    pub(super) state: StateCode,
    /// Every transition so far, as the audit has to have it.
    pub(super) history: Vec<Transition>,
    pub(super) worker: Option<WorkerId>,
    /// Where its attempt stands.
    pub(super) stage: String,
    /// The customer has asked for it back while it ran.
    asked_back: bool,
    /// Its turn to be claimed: later uploads have greater ones.
    turn: usize,
    /// It need not wait any longer.
    pub(super) ready: bool,
    pub(super) lease_expired: bool,
    pub(super) late: bool,
    pub(super) stale: bool,
    /// Code and place of the failures held against it.
    counted: Vec<(String, String)>,
}

impl Expected {
    pub(super) fn new(database: usize, production: bool) -> Self {
        Self {
            database,
            production,
            state: StateCode::AwaitingUpload,
            history: Vec::new(),
            worker: None,
            stage: String::new(),
            asked_back: false,
            turn: 0,
            ready: true,
            lease_expired: false,
            late: false,
            stale: false,
            counted: Vec::new(),
        }
    }

    /// The number of claims: what the epoch has to be.
    pub(super) fn claims(&self) -> i32 {
        self.history.iter().map(|transition| i32::from(*transition == Transition::Claim)).sum()
    }

    /// Whether a lease is the one that holds it.
    pub(super) fn held_by(&self, lease: &Lease) -> bool {
        self.state == StateCode::Running
            && self.worker == Some(lease.worker())
            && self.claims() == lease.epoch().0
    }

    /// Makes a transition where it is allowed.
    fn go(&mut self, transition: Transition) -> bool {
        let Some(next) = self.state.after(transition) else { return false };
        self.state = next;
        self.history.push(transition);
        if next != StateCode::Running {
            self.worker = None;
            self.asked_back = false;
        }
        true
    }

    /// The customer's upload is complete, as the `turn`th one; `false` where that is refused.
    pub(super) fn upload(&mut self, turn: usize) -> bool {
        match self.state {
            StateCode::AwaitingUpload => {
                self.turn = turn;
                self.go(Transition::Upload)
            }
            state => state != StateCode::Cancelled,
        }
    }

    pub(super) fn claim(&mut self, worker: WorkerId) {
        assert!(self.go(Transition::Claim));
        self.worker = Some(worker);
        self.stage = "fetch".into();
        (self.lease_expired, self.late) = (false, false);
    }

    pub(super) fn deliver(&mut self) {
        assert!(self.go(Transition::Deliver));
    }

    /// Its attempt ends without a result.
    pub(super) fn fail(&mut self, failure: &Failure) {
        let mut verdict = failure.verdict(&self.counted);
        if self.asked_back && matches!(verdict, Verdict::Requeue { .. } | Verdict::Intervene) {
            verdict = Verdict::Cancel;
        }
        let (transition, counts) = match verdict {
            Verdict::Requeue { after, counts } => {
                self.ready = after.is_zero();
                (Transition::Requeue, counts)
            }
            Verdict::Reject => (Transition::Reject, true),
            Verdict::Intervene => (Transition::Intervene, true),
            Verdict::Cancel => (Transition::Cancel, false),
        };
        if counts {
            self.counted.push((failure.code().into(), failure.place().into()));
        }
        assert!(self.go(transition));
    }

    /// The customer takes it back; `false` where that is refused.
    pub(super) fn cancel(&mut self) -> bool {
        match self.state {
            StateCode::Running => {
                self.asked_back = true;
                true
            }
            StateCode::Cancelled => true,
            _ => self.go(Transition::Cancel),
        }
    }

    /// A person wants another attempt; `false` where that is refused.
    pub(super) fn retry(&mut self) -> bool {
        let allowed = self.go(Transition::Retry);
        if allowed {
            self.counted.clear();
            self.ready = true;
        }
        allowed
    }

    /// What the sweep should find it guilty of.
    pub(super) fn overdue(&self, attempt_seconds: u64) -> Option<Failure> {
        let place = self.stage.clone();
        match self.state {
            StateCode::Running if self.late => {
                Some(Failure::DeadlinePassed { place: "attempt".into(), seconds: attempt_seconds })
            }
            StateCode::Running if self.lease_expired => Some(Failure::LeaseLost { place }),
            _ => None,
        }
    }
}

/// Which request a claim has to give: production first, then the oldest, of those that may run.
pub(super) fn next(requests: &[Expected]) -> Option<usize> {
    let running = |request: &&Expected| request.state == StateCode::Running;
    if requests.iter().filter(running).count() >= MAX_RUNNING {
        return None;
    }
    let free = |database| requests.iter().filter(running).all(|request| request.database != database);
    let claimable = requests
        .iter()
        .enumerate()
        .filter(|(_, request)| request.state == StateCode::Queued && request.ready && free(request.database));
    claimable.min_by_key(|(_, request)| (!request.production, request.turn)).map(|(index, _)| index)
}
