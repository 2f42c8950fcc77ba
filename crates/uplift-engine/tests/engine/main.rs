//! The engine as a process, against a Postgres as the sandbox has it.
//!
//! `UPLIFT_TEST_PG_BIN` names the directory with the server's programs; each test runs a cluster of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod checkpoint;
mod cluster;
mod corpus;
mod engine;
mod forks;
mod formats;
mod odoo;
mod recognised;
mod refused;
mod staged;
mod upgrade;
