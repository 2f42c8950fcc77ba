//! Whose a sandbox is.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uplift_core::id::{Epoch, RequestId, WorkerId};

const FLEET: &str = "uplift.fleet";
const REQUEST: &str = "uplift.request";
const ATTEMPT: &str = "uplift.attempt";
const WORKER: &str = "uplift.worker";

/// Whose a sandbox is. Every container and volume of it carries this as labels, and every directory in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Label {
    /// The request that is being worked on.
    pub request: RequestId,
    /// The attempt, by its epoch.
    pub epoch: Epoch,
    /// The worker process that opened it.
    pub worker: WorkerId,
}

impl Label {
    /// What all names of this sandbox start with; a person who reads `docker ps` finds the request by it.
    pub(crate) fn name(&self, what: &str) -> String {
        format!("uplift-{}-{}-{what}", self.request, self.epoch)
    }

    /// As Docker stores it.
    pub(crate) fn to_map(self, fleet: &str) -> HashMap<String, String> {
        HashMap::from([
            (FLEET.into(), fleet.into()),
            (REQUEST.into(), self.request.to_string()),
            (ATTEMPT.into(), self.epoch.to_string()),
            (WORKER.into(), self.worker.to_string()),
        ])
    }

    /// From what Docker stores; `None` where a label is missing or is no identifier.
    pub(crate) fn from_map(labels: &HashMap<String, String>) -> Option<Self> {
        Some(Self {
            request: labels.get(REQUEST)?.parse().ok()?,
            epoch: labels.get(ATTEMPT)?.parse().ok()?,
            worker: labels.get(WORKER)?.parse().ok()?,
        })
    }

    /// Finds everything of this request and attempt, whichever worker made it.
    pub(crate) fn filter(&self, fleet: &str) -> HashMap<String, Vec<String>> {
        labelled([
            format!("{FLEET}={fleet}"),
            format!("{REQUEST}={}", self.request),
            format!("{ATTEMPT}={}", self.epoch),
        ])
    }

    /// Finds everything of a fleet.
    pub(crate) fn filter_fleet(fleet: &str) -> HashMap<String, Vec<String>> {
        labelled([format!("{FLEET}={fleet}")])
    }
}

fn labelled<const N: usize>(labels: [String; N]) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), labels.to_vec())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_survive_the_way_through_docker() {
        let label = Label { request: RequestId::new(), epoch: Epoch(7), worker: WorkerId::new() };
        assert_eq!(Label::from_map(&label.to_map("fleet")), Some(label));
    }

    #[test]
    fn a_foreign_container_is_nobodys() {
        assert_eq!(Label::from_map(&HashMap::from([("com.example".into(), "1".into())])), None);
    }
}
