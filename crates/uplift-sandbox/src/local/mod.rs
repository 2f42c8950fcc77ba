//! Programs of this machine that must not be root and must not outlive this process: the Postgres of a private
//! cluster, and what runs beside it.

mod account;
mod launch;
mod place;
mod process;
mod programs;
mod server;

pub use account::{Account, End};
pub use launch::{run, spawn};
pub use place::{make_socket_directory, private, remove_socket_directory, socket_directory};
pub use process::{Process, Signal};
pub use programs::Programs;
pub use server::{accepts, running_on};
