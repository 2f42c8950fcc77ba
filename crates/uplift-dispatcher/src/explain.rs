//! Why a request is where it is, and what happens next, in words for its customer and for whoever is on call.

use chrono::{DateTime, TimeDelta, Utc};
use uplift_core::{
    Purpose,
    api::{self, Explanation, HeldKind},
    request::StateCode,
};
use uplift_platform::ledger::Circumstances;

use crate::web::span;

/// Explains a request as it stands. `retry_at` is when a queued one may be claimed.
pub(crate) fn explain(
    request: &api::Request,
    around: &Circumstances,
    retry_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Explanation {
    let (now, next) = match request.state {
        StateCode::AwaitingUpload => (
            "its dump is not here yet".to_owned(),
            "once all of it is, the request is queued: `uplift resume`, or its page, sends what is missing"
                .to_owned(),
        ),
        StateCode::Queued => queued(request, around, retry_at, now),
        StateCode::Running => running(request, now),
        StateCode::Intervention => intervention(request, around),
        StateCode::Delivered => delivered(request),
        StateCode::Rejected => (
            format!("it cannot be upgraded as it is: {}", failure(request)),
            "mend what that says, and hand the database in again".to_owned(),
        ),
        StateCode::Cancelled => (
            "it was taken back, or its dump did not come in time".to_owned(),
            "nothing: hand it in again".to_owned(),
        ),
    };
    Explanation { now, next }
}

fn queued(
    request: &api::Request,
    around: &Circumstances,
    retry_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> (String, String) {
    if let Some(held) = &request.held {
        let next = match held.kind {
            HeldKind::Hop => "it goes on once a mended pack is pushed, or an operator releases the hop",
            HeldKind::Production => "it goes on once a new test is accepted, or an operator waives it",
            HeldKind::Booked => "it begins then, as soon as a worker is free",
            HeldKind::Database => "it begins once that one has ended",
        };
        return (held.message.clone(), next.to_owned());
    }
    if retry_at > now {
        let why = match &around.last_failure {
            Some((attempt, place)) if place.is_empty() => format!("attempt {attempt} ended without a result"),
            Some((attempt, place)) => format!("attempt {attempt} failed at {place}"),
            None => "it was put off".to_owned(),
        };
        let next = format!("it is tried again by itself in {}", span(retry_at - now));
        return (format!("{why}, for a reason that may pass"), next);
    }
    let (running, most) = around.running_of_account;
    if running >= i64::from(most) {
        return (
            format!("as many upgrades of its account are running as may at once ({most})"),
            "it begins once one of them has ended".to_owned(),
        );
    }
    let place = request.queue_place.map(|place| format!("; it has place {place} in the queue"));
    let place = place.unwrap_or_default();
    if around.workers == 0 {
        return (
            format!("no worker is alive{place}"),
            "it begins once one is back: nothing of it is lost, and the operators are told".to_owned(),
        );
    }
    if around.free_slots == 0 {
        return (
            format!("all workers that are alive ({}) are busy{place}", around.workers),
            "it begins once one is free".to_owned(),
        );
    }
    (format!("a worker is about to take it{place}"), "it begins within seconds".to_owned())
}

fn running(request: &api::Request, now: DateTime<Utc>) -> (String, String) {
    if request.cancelling {
        return ("it is being taken back".to_owned(), "its worker ends it within a minute".to_owned());
    }
    let at =
        request.progress.as_ref().map(|progress| format!(", {} %: {}", progress.percent, progress.stage));
    let longer = request.estimate.as_ref().is_some_and(|estimate| estimate.longer_than_usual);
    let longer = if longer { "; it takes longer than usual" } else { "" };
    let text = format!("attempt {} is at it{}{longer}", request.attempt, at.unwrap_or_default());
    let due = request.deadline.map(|due| {
        if due > now {
            format!(", and is due in {}", span(due - now))
        } else {
            format!(", and was due {} ago", span(now - due))
        }
    });
    let expected = request.estimate.as_ref().filter(|_| longer.is_empty()).map(|estimate| {
        let [p50, p90] =
            [estimate.p50_seconds, estimate.p90_seconds].map(|s| span(TimeDelta::seconds(s.cast_signed())));
        format!("an upgrade like this takes {p50} to {p90}; ")
    });
    let next = format!("{}then it is delivered{}", expected.unwrap_or_default(), due.unwrap_or_default());
    (text, next)
}

fn intervention(request: &api::Request, around: &Circumstances) -> (String, String) {
    let claimed = around.intervention.is_some_and(|(_, claimed)| claimed);
    let with = if claimed { "an engineer is at it" } else { "it waits for an engineer" };
    let since = around.intervention.map(|(at, _)| format!(" since {} UTC", at.format("%Y-%m-%d %H:%M")));
    (
        format!("{with}{}: {}", since.unwrap_or_default(), failure(request)),
        "the script is adjusted for this database, and it runs again from the original dump; you need not do anything"
            .to_owned(),
    )
}

fn delivered(request: &api::Request) -> (String, String) {
    if request.deleted_at.is_some() {
        return ("it was delivered, and everything of it was removed".to_owned(), "nothing".to_owned());
    }
    if request.discrepancy.is_some() {
        return (
            "it was delivered, and an engineer looks at what was reported".to_owned(),
            "the answer is told, and stands in `uplift status`".to_owned(),
        );
    }
    let next = match (request.purpose, request.accepted_at) {
        (Purpose::Test, None) => {
            "look at it, and accept it with `uplift accept`, so that production may follow"
        }
        (Purpose::Test, Some(_)) => "production may follow: `uplift production`",
        (Purpose::Production, _) => "fetch it with `uplift download`, and go live",
    };
    ("it was delivered".to_owned(), next.to_owned())
}

fn failure(request: &api::Request) -> &str {
    request.failure.as_ref().map_or("", |failure| &failure.message)
}
