//! The ledger on a real Postgres.

#[path = "ledger/mod.rs"]
mod ledger;
