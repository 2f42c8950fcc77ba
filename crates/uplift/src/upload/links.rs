//! The links to which parts go. They are asked for in batches, shortly before they are used, since they expire.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::Mutex;
use uplift_core::api::{PartLinks, PartsWanted};
use url::Url;

use crate::client::{ApiError, Client, Patience};

/// A batch of links is used up long before it expires, and an upload asks seldom.
const BATCH: usize = 40;

/// The links at hand and the parts that need one.
#[derive(Debug)]
pub(super) struct Links<'a> {
    client: &'a Client,
    request: &'a str,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    wanted: BTreeSet<u32>,
    at_hand: BTreeMap<u32, Url>,
}

impl<'a> Links<'a> {
    pub(super) fn new(client: &'a Client, request: &'a str, wanted: BTreeSet<u32>) -> Self {
        Self { client, request, state: Mutex::new(State { wanted, at_hand: BTreeMap::new() }) }
    }

    /// The link for a part. A refused one is not given again: it and those of its age have expired.
    pub(super) async fn link(&self, part: u32, refused: Option<&Url>) -> Result<Url, ApiError> {
        let mut state = self.state.lock().await;
        if refused.is_some() && state.at_hand.get(&part) == refused {
            state.at_hand.clear();
        }
        if let Some(url) = state.at_hand.get(&part) {
            return Ok(url.clone());
        }
        let parts = state.wanted.range(part..).take(BATCH).copied().collect();
        let path = ["requests", self.request, "upload", "parts"];
        let given: PartLinks = self.client.post(&path, &PartsWanted { parts }, Patience::Long).await?;
        state.at_hand.extend(given.links.into_iter().map(|link| (link.part, link.url)));
        let url = state.at_hand.get(&part).cloned();
        url.ok_or_else(|| self.client.unreadable(&format!("it gave no link for part {part}")))
    }

    /// The part is there and needs no link any more.
    pub(super) async fn done(&self, part: u32) {
        let mut state = self.state.lock().await;
        state.wanted.remove(&part);
        state.at_hand.remove(&part);
    }
}
