//! Sandboxes of both kinds: on a real Docker, with the images of `cargo xtask images`, and as processes.

#![allow(clippy::unwrap_used, reason = "a test panics, and says why")]

mod ends;
mod harness;
mod isolation;
mod leftovers;
mod parent;
mod streams;
