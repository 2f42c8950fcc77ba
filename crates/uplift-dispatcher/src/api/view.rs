//! The ledger's rows in the words of the API.

use std::time::Duration;

use chrono::TimeDelta;
use uplift_core::{
    ansi,
    api::{self, HeldKind},
    request::{Delivery, Held, State, StateCode},
};
use uplift_platform::ledger::{
    Estimate, HeldHop, Intervention, LogLine, OverrideEntry, PackEntry, Request, SessionEntry, StepTime,
    WorkerEntry,
};

/// A request as its customer sees it.
pub(crate) fn request(request: Request) -> api::Request {
    let result = match &request.state {
        State::Delivered(delivery) if request.deleted_at.is_none() => Some(result(&request, delivery)),
        _ => None,
    };
    let state = request.state.code();
    let running = state == StateCode::Running;
    let progress = request.stage.filter(|_| running).map(|stage| api::Progress {
        stage: stage.as_str().to_owned(),
        done: request.progress.map(|(done, _)| done),
        total: request.progress.map(|(_, total)| total),
        percent: request.percent,
    });
    let held = held(&request);
    let deadline = request.deadline();
    let failure = match request.state {
        State::Intervention { failure } | State::Rejected { failure } => {
            Some(api::FailureView { message: failure.to_string(), failure })
        }
        _ => None,
    };
    api::Request {
        id: request.id.0,
        account: request.account_name,
        database: request.database_name,
        purpose: request.purpose,
        product: request.product,
        source_version: request.source_version.map(String::from),
        target: request.target.into(),
        scripts: request.scripts,
        state,
        failure,
        held,
        note: request.note,
        discrepancy: request.discrepancy,
        progress,
        estimate: None,
        queue_place: None,
        result,
        attempt: request.epoch.0,
        canary: request.canary,
        accepted_at: request.accepted_at,
        cancelling: running && request.cancel_at.is_some(),
        created_at: request.created_at,
        uploaded_at: request.uploaded_at,
        not_before: request.booked_for,
        deadline,
        started_at: request.started_at,
        finished_at: request.finished_at,
        source_deleted_at: request.source_deleted_at,
        deleted_at: request.deleted_at,
    }
}

/// A line of a log, without its colours.
pub(super) fn line(line: &LogLine) -> api::LogLine {
    api::LogLine { at: line.at, level: line.level, text: ansi::without(&line.text) }
}

/// An estimate, and whether what it is of has been running for longer.
pub(super) fn estimate(estimate: Estimate, running: Option<TimeDelta>) -> api::EstimateView {
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let p90 = seconds(estimate.p90);
    api::EstimateView {
        p50_seconds: seconds(estimate.p50).as_secs(),
        p90_seconds: p90.as_secs(),
        own: estimate.own,
        samples: estimate.samples,
        longer_than_usual: running
            .and_then(|running| running.to_std().ok())
            .is_some_and(|running| running > p90),
    }
}

/// Why it waits though it is queued: somebody has to act, its hour has not come, or its database is taken.
fn held(request: &Request) -> Option<api::HeldView> {
    if let Some((held, since)) = &request.held {
        let kind = match held {
            Held::Hop { .. } => HeldKind::Hop,
            Held::Production { .. } => HeldKind::Production,
        };
        return Some(api::HeldView { kind, message: held.to_string(), since: *since });
    }
    let since = request.uploaded_at.filter(|_| request.state.code() == StateCode::Queued)?;
    let (kind, message) = match (request.booked_for, request.busy_with) {
        (Some(booked), _) if request.early => {
            (HeldKind::Booked, format!("it waits: it is booked for {}", booked.format("%Y-%m-%d %H:%M UTC")))
        }
        (_, Some(other)) => (
            HeldKind::Database,
            format!(
                "it waits: request {other} of the same database runs, and there is one at a time; this one begins by \
                 itself after it"
            ),
        ),
        _ => return None,
    };
    Some(api::HeldView { kind, message, since })
}

fn result(request: &Request, delivery: &Delivery) -> api::ResultView {
    api::ResultView {
        file_name: result_name(request, delivery),
        bytes: delivery.digest.bytes,
        sha256: delivery.digest.sha256.clone(),
    }
}

/// What a customer calls the result: `{database}-{target}` and the ending of the object, such as `.sql.gz`.
pub(super) fn result_name(request: &Request, delivery: &Delivery) -> String {
    let ending = delivery.result.split_once('.').map_or("", |(_, ending)| ending);
    file_name(request, ending)
}

/// A name for a file of a request.
pub(super) fn file_name(request: &Request, ending: &str) -> String {
    format!("{}-{}.{ending}", plain(&request.database_name), request.target)
}

/// A database's name as part of a file's name: no folder, no hidden file, nothing that a shell would expand.
pub(super) fn plain(database: &str) -> String {
    let plain: String =
        database.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    match plain.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => plain,
    }
}

/// A step of the newest attempt.
pub(super) fn step(step: StepTime) -> api::StepView {
    api::StepView { step: step.step, millis: step.millis }
}

/// A pack on record.
pub(super) fn pack(pack: PackEntry) -> api::PackView {
    api::PackView {
        digest: pack.digest.0,
        product: pack.product,
        title: pack.title,
        pushed_at: pack.pushed_at,
        pushed_by: pack.pushed_by,
        recalled_at: pack.recalled_at,
        current: pack.current,
    }
}

/// A worker.
pub(super) fn worker(worker: WorkerEntry) -> api::WorkerView {
    api::WorkerView {
        id: worker.state.id.0,
        host: worker.state.host,
        version: worker.state.version,
        slots: worker.state.slots,
        busy: worker.state.busy,
        draining: worker.state.draining,
        alive: worker.alive,
        started_at: worker.started_at,
        seen_at: worker.seen_at,
    }
}

/// An intervention.
pub(super) fn intervention(found: Intervention) -> api::InterventionView {
    let (databases, accounts) = found.alike;
    api::InterventionView {
        id: found.id.0,
        request: found.request.0,
        attempt: found.epoch.0,
        account: found.account_name,
        database: found.database_name,
        purpose: found.purpose,
        product: found.product,
        source_version: found.source_version,
        target: found.target.into(),
        pack: found.pack.map(|pack| pack.0),
        hop: found.hop,
        step: found.step,
        failure: api::FailureView { message: found.failure.to_string(), failure: found.failure },
        fingerprint: found.fingerprint,
        pattern: found.pattern,
        databases,
        accounts,
        opened_at: found.opened_at,
        due_at: found.due_at,
        engineer: found.engineer.map(|(_, name)| name),
        claimed_until: found.claimed_until,
        note: found.note,
        saved: found
            .saved
            .map(|saved| api::SavedView { bytes: saved.bytes, postgres_major: saved.postgres_major }),
        closed: found.closed.map(|closed| api::ClosedView {
            at: closed.at,
            by: closed.by,
            outcome: closed.outcome,
            reason: closed.reason,
        }),
    }
}

/// Something adjusted for one database.
pub(super) fn over(entry: OverrideEntry) -> api::OverrideView {
    api::OverrideView {
        id: entry.id.0,
        account: entry.account_name,
        database: entry.database_name,
        product: entry.product,
        says: entry.change.to_string(),
        hop: entry.change.hop,
        step: entry.change.step,
        change: entry.change.change,
        sha256: entry.sha256,
        reason: entry.reason,
        intervention: entry.intervention.map(|id| id.0),
        pack: entry.pack.map(|pack| pack.0),
        made_at: entry.made_at,
        made_by: entry.made_by,
        removed: entry.removed.map(|removed| api::RemovedView {
            at: removed.at,
            by: removed.by,
            because: removed.because,
        }),
    }
}

/// A hop that is held.
pub(super) fn hold(hold: HeldHop) -> api::HoldView {
    api::HoldView {
        id: hold.id.0,
        product: hold.product,
        pack: hold.pack.0,
        hop: hold.hop,
        fingerprint: hold.fingerprint,
        pattern: hold.pattern,
        accounts: hold.accounts,
        waiting: hold.waiting,
        held_at: hold.held_at,
    }
}

/// A look into a saved state.
pub(super) fn session(found: SessionEntry) -> api::SessionView {
    api::SessionView {
        id: found.id.0,
        intervention: found.intervention.0,
        kind: found.kind,
        writable: found.writable,
        opened_at: found.opened_at,
        opened_by: found.opened_by,
        started_at: found.started_at,
        ended: found.ended.map(|ended| api::SessionEnd {
            at: ended.at,
            outcome: ended.outcome,
            message: ended.message,
            failure: ended.failure.map(|failure| api::FailureView { message: failure.to_string(), failure }),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_database_cannot_choose_where_its_file_lands() {
        assert_eq!(plain("../../etc/cron d"), "_._.._etc_cron_d");
        assert_eq!(plain("kunden-übersicht_17.0"), "kunden-übersicht_17.0");
    }
}
