//! The steps from the one that failed to the end of its hop, with what is adjusted by now. Nothing is delivered.

use std::time::Instant;

use uplift_core::{
    Override,
    event::{Level, Stage},
    overrides::Change,
    pack::Step,
    session::SessionOutcome,
};
use uplift_platform::ledger::Session;
use uplift_sandbox::Label;

use super::{Ending, ended};
use crate::{
    outcome::Ended,
    stages::{Attempt, broken},
    way::Way,
};

/// Runs a dry run to its end.
pub(super) async fn run(attempt: &mut Attempt<'_>, label: &Label, session: &Session) -> Ending {
    match rehearse(attempt, label, session).await {
        Ok(ending) => ending,
        Err(why) => ended(why),
    }
}

async fn rehearse(attempt: &mut Attempt<'_>, label: &Label, session: &Session) -> Result<Ending, Ended> {
    let began = Instant::now();
    // A sandbox of its own, without a Postgres, which the next one takes over.
    let sniffed = attempt.sniff(label).await?;
    let sandbox = attempt.reopen(label, session).await?;
    let way = attempt.way_now().await?;
    if attempt.request.pack.as_ref() != Some(&way.digest) {
        attempt.log.info(format!("with pack {}, which is newer than the one that failed", way.digest)).await;
    }
    let hop = session.hop.as_deref().unwrap_or_default();
    let steps = steps_of(&way, hop)
        .ok_or_else(|| broken("session", &format!("the way to the target has no hop {hop} any more")))?;
    // What was put in beside steps that are done comes too late here, as does what changes them.
    let start = steps.iter().rposition(|step| session.done.iter().any(|done| done == step.id()));
    let (before, left) = steps.split_at(start.map_or(0, |last| last + 1));
    for entry in &way.layer {
        if !session.overrides.contains(&entry.id) && comes_too_late(&entry.change, before, &session.done) {
            let text =
                format!("{}: that is before this state was saved, so only a retry runs it", entry.change);
            attempt.log.say(Level::Warning, &text).await;
        }
    }
    let left: Vec<&Step> = left.iter().collect();
    attempt.log.info(format!("{} of the {} steps of {hop} are left", left.len(), steps.len())).await;
    attempt.hold.enter(Stage::Upgrade);
    attempt.run_steps(&sandbox, &way, &left, &sniffed).await?;
    Ok(Ending {
        outcome: SessionOutcome::Passed,
        message: format!(
            "{} steps to the end of {hop}, {} s; nothing is delivered: `retry` runs all of it from the original dump",
            left.len(),
            began.elapsed().as_secs()
        ),
        failure: None,
    })
}

fn steps_of<'a>(way: &'a Way, hop: &str) -> Option<&'a [Step]> {
    if hop == "custom" {
        return Some(&way.custom);
    }
    way.hops.iter().find(|found| found.name() == hop).map(|found| &found.steps[..])
}

/// Whether a change is about what had run by the time that the state was saved.
fn comes_too_late(change: &Override, before: &[Step], done: &[String]) -> bool {
    let about = match &change.change {
        Change::Before(script) | Change::After(script) => format!("{}/{}", change.hop, script.step()),
        Change::Replace(_) | Change::Skip | Change::Set(_) => change.target(),
    };
    done.contains(&about) || before.iter().any(|step| step.id() == about)
}
