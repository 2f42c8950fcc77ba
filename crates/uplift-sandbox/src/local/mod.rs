//! Programs of this machine that must not be root and must not outlive this process: the Postgres of a private
//! cluster, and what runs beside it.

mod account;
mod launch;
mod process;
mod programs;

pub use account::{Account, End};
pub use launch::{run, spawn};
pub use process::Process;
pub use programs::Programs;
