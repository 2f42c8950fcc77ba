//! Starting programs that end when this process does.
//!
//! Linux sends the death signal when the *thread* ends that started the program, and threads of an async runtime come
//! and go. So one thread, which lives as long as the process, starts them all.

use std::{
    io,
    process::Output,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

use crate::SandboxError;

/// The thread's ear.
static LAUNCHER: Mutex<Option<mpsc::Sender<Order>>> = Mutex::new(None);

struct Order {
    command: Command,
    /// Whose runtime is to see to the program's pipes and to its end.
    runtime: Handle,
    started: oneshot::Sender<io::Result<Child>>,
}

/// Starts a program of [`super::Account::command`].
///
/// # Errors
///
/// The system's; that `setpriv` is missing, for one.
pub async fn spawn(command: Command) -> io::Result<Child> {
    let (started, child) = oneshot::channel();
    order(Order { command, runtime: Handle::current(), started })?;
    child.await.map_err(|_| io::Error::other("the thread that starts programs has ended"))?
}

/// Runs a short program of [`super::Account::command`] to its end, and gives what it wrote to stdout.
///
/// # Errors
///
/// [`SandboxError::System`] where it cannot be started, [`SandboxError::Program`] where it fails.
pub async fn run(command: Command, doing: &'static str) -> Result<String, SandboxError> {
    // The program itself comes behind the `--` of `setpriv`.
    let arguments = command.as_std().get_args().map(|argument| argument.to_string_lossy().into_owned());
    let program = arguments.skip_while(|argument| argument != "--").nth(1).unwrap_or_default();
    let child = spawn(command).await.map_err(SandboxError::system(doing))?;
    let Output { status, stdout, stderr } =
        child.wait_with_output().await.map_err(SandboxError::system(doing))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&stderr).trim().to_owned();
    Err(SandboxError::Program { doing, program, status: status.to_string(), said })
}

fn order(order: Order) -> io::Result<()> {
    let mut launcher = LAUNCHER.lock().unwrap_or_else(PoisonError::into_inner);
    if launcher.is_none() {
        let (sender, orders) = mpsc::channel();
        thread::Builder::new().name("launcher".into()).spawn(move || launch(&orders))?;
        *launcher = Some(sender);
    }
    let sent = launcher.as_ref().is_some_and(|launcher| launcher.send(order).is_ok());
    if sent { Ok(()) } else { Err(io::Error::other("the thread that starts programs has ended")) }
}

fn launch(orders: &mpsc::Receiver<Order>) {
    for Order { mut command, runtime, started } in orders {
        let _runtime = runtime.enter();
        // Nobody waits for it any more: it is dropped, and told so by its closed pipes.
        let _ = started.send(command.spawn());
    }
}
