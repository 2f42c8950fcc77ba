//! Why something cannot be done as things stand, in words for whoever wanted it.

use chrono::{DateTime, Utc};
use thiserror::Error;
use uplift_core::{InterventionId, RequestId, Scripts, Version, request::StateCode};

/// Why something cannot be done to a request as it stands.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Conflict {
    /// Its state does not allow it.
    #[error("request {request} is {state}: it cannot {wish} now")]
    State {
        /// Which.
        request: RequestId,
        /// Its state.
        state: StateCode,
        /// What was wanted.
        wish: &'static str,
    },
    /// Production without an accepted test.
    #[error(
        "there is no accepted test of database `{database}` to {target}: deliver a test, look at it, and \
         accept it with `uplift accept REQUEST`"
    )]
    NoAcceptedTest {
        /// The customer's name for it.
        database: String,
        /// The version asked for.
        target: Version,
    },
    /// Production with other scripts than its accepted test.
    #[error("{}", other_scripts(.test, .tested.as_ref(), .brought.as_ref()))]
    OtherScripts {
        /// The accepted test.
        test: RequestId,
        /// What it ran with.
        tested: Option<Scripts>,
        /// What came with the submission.
        brought: Option<Scripts>,
    },
    /// Only tests are accepted.
    #[error("request {0} is a production upgrade: only a delivered test can be accepted")]
    NotATest(RequestId),
    /// Somebody else works on an intervention.
    #[error(
        "{by} has claimed intervention {intervention} until {until}: ask them to release it, or an operator to \
         assign it to you"
    )]
    ClaimedBy {
        /// Which.
        intervention: InterventionId,
        /// Who, by their token's label.
        by: String,
        /// Until when, unless they do something.
        until: DateTime<Utc>,
    },
    /// Engineers act on what they have claimed.
    #[error("{}", not_claimed(*.intervention, .by.as_deref()))]
    NotClaimed {
        /// Which.
        intervention: InterventionId,
        /// Who has claimed it, where anybody has.
        by: Option<String>,
    },
    /// One report at a time.
    #[error("what was reported about request {0} is being looked at: report the rest once it is answered")]
    AlreadyReported(RequestId),
    /// There is nothing left to look at.
    #[error("everything of request {0} was removed: hand the dump in again, and report it there")]
    Removed(RequestId),
    /// The intervention is over.
    #[error("intervention {0} is closed: see `uplift ops interventions show {0}`")]
    Closed(InterventionId),
    /// There is no state to look into.
    #[error(
        "intervention {0} has no saved state to open: its attempt failed before a step, or could not save it; what failed \
         stands in `uplift ops interventions show {0}`"
    )]
    NoSavedState(InterventionId),
    /// A dry run goes to the end of a hop.
    #[error(
        "intervention {0} failed outside the hops, where no override reaches: mend the pack, then \
         `uplift ops interventions retry {0}`"
    )]
    NoHop(InterventionId),
    /// An intervention cannot be assigned to this name.
    #[error("{}", no_such_engineer(.name, *.many))]
    NoSuchEngineer {
        /// The name.
        name: String,
        /// Whether several tokens have it.
        many: bool,
    },
    /// The idempotency key was used for something else.
    #[error("the idempotency key was used for another submission (request {0}): use a new key")]
    KeyReused(RequestId),
    /// Only production is waived.
    #[error("request {0} is a test: only production waits for its accepted test")]
    NotProduction(RequestId),
    /// Overrides belong to a product.
    #[error("no attempt of request {0} has recognised its product yet: wait until it is restored")]
    Unrecognised(RequestId),
}

fn other_scripts(test: &RequestId, tested: Option<&Scripts>, brought: Option<&Scripts>) -> String {
    let with = |scripts: Option<&Scripts>, none: &str, some: &str| {
        scripts.map_or_else(|| none.to_owned(), |scripts| format!("{some} ({scripts})"))
    };
    let ran = with(tested, "without scripts", "with scripts");
    let brings = with(brought, "brings none", if tested.is_some() { "brings others" } else { "brings some" });
    let mend = match tested {
        Some(_) => "attach the very file of that test with `--scripts FILE`",
        None => "leave out `--scripts`",
    };
    format!(
        "the accepted test {test} ran {ran}, and this request {brings}: {mend}, or run and accept a new test"
    )
}

fn not_claimed(id: InterventionId, by: Option<&str>) -> String {
    match by {
        Some(by) => {
            format!("{by} has claimed intervention {id}: ask them, or an operator to assign it to you")
        }
        None => format!("claim the intervention first: uplift ops interventions claim {id}"),
    }
}

fn no_such_engineer(name: &str, many: bool) -> String {
    if many {
        format!("several tokens are labelled `{name}`: name the engineer by the token's id")
    } else {
        format!("no valid token of an engineer or operator is labelled `{name}`, or has that id")
    }
}
