//! The whole fleet on real services: one binary.

#![allow(clippy::unwrap_used, reason = "a test panics, and says why")]

mod sample;
