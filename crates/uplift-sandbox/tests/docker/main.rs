//! Sandboxes on a real Docker, with the images of `cargo xtask images`.

mod ends;
mod harness;
mod isolation;
mod leftovers;
mod streams;
