//! What the tests of this crate share: the services they reach, faults they cause, and bounded waiting.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

pub mod broker;
pub mod proxy;

use std::time::{Duration, Instant};

/// The value of a variable that names a running service.
pub fn service(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run the tests with `cargo xtask test`, which starts the services and sets it")
    })
}

/// Looks until `probe` says yes; fails after `limit`, saying what was waited for.
pub async fn eventually(what: &str, limit: Duration, mut probe: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !probe().await {
        assert!(started.elapsed() < limit, "waited {limit:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
