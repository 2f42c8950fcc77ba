//! The whole fleet on real services: one binary.

#![allow(clippy::unwrap_used, reason = "a test panics, and says why")]

#[path = "../platform/mod.rs"]
mod platform;

mod bad_input;
mod dumps;
mod exporter;
mod faults;
mod odoo;
mod sample;
