//! What a command needs: the client, how to speak, and what to say when it is interrupted.

use std::{
    env, fs,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use secrecy::SecretString;
use uplift_core::Clock;

use crate::{
    cli::{Command, Global},
    client::Client,
    exit::{NoToken, UsageError},
    print::Printer,
};

/// What a command needs.
#[derive(Debug)]
pub(crate) struct Context {
    /// Speaks to the dispatcher.
    pub(crate) client: Client,
    /// Speaks to the person, or to the program.
    pub(crate) print: Printer,
    /// What time it is.
    pub(crate) clock: Clock,
    /// What Ctrl-C leaves behind.
    pub(crate) interrupted: Interrupted,
}

impl Context {
    pub(crate) fn new(global: &Global, command: &Command, interrupted: Interrupted) -> anyhow::Result<Self> {
        let server = global.server.clone().ok_or_else(|| {
            let message = "no server is named: set UPLIFT_SERVER, such as https://upgrade.example.com, or give --server";
            UsageError(message.into())
        })?;
        if !matches!(server.scheme(), "http" | "https") {
            return Err(
                UsageError(format!("the server's address {server} is not an http or https one")).into()
            );
        }
        let token = token(global, matches!(command, Command::Ops(_)))?;
        let print = Printer::new(global.json);
        Ok(Self { client: Client::new(server, token)?, print, clock: Clock::System, interrupted })
    }
}

/// The bearer's secret: never from the command line, where every user of the machine could read it.
fn token(global: &Global, ops: bool) -> anyhow::Result<SecretString> {
    if let Some(path) = &global.token_file {
        return token_from(path);
    }
    let names: &[&str] = if ops { &["UPLIFT_OPS_TOKEN", "UPLIFT_TOKEN"] } else { &["UPLIFT_TOKEN"] };
    let found = names.iter().find_map(|name| env::var(name).ok().filter(|value| !value.trim().is_empty()));
    let secret = found.ok_or_else(|| {
        NoToken(format!("there is no token: set {} or give --token-file FILE", names.join(" or ")))
    })?;
    Ok(secret.trim().to_owned().into())
}

fn token_from(path: &Path) -> anyhow::Result<SecretString> {
    let shown = path.display();
    let secret = fs::read_to_string(path).with_context(|| format!("read the token from {shown}"))?;
    match secret.trim() {
        "" => Err(NoToken(format!("{shown} is empty: put the token into it")).into()),
        secret => Ok(secret.to_owned().into()),
    }
}

/// What to say when Ctrl-C comes; a command changes it as it goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupted(Arc<Mutex<Option<String>>>, Arc<AtomicBool>);

impl Interrupted {
    /// From here on, Ctrl-C leaves this behind.
    pub(crate) fn leaves(&self, message: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
    }

    /// From here on, Ctrl-C is the command's own business.
    pub(crate) fn is_handled(&self) {
        self.1.store(true, Ordering::Relaxed);
    }

    /// Waits for a Ctrl-C that ends the program.
    pub(crate) async fn comes(&self) {
        loop {
            // Where signals cannot be heard, the system ends the program.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            if !self.1.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    pub(crate) fn message(&self) -> String {
        let message = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        message.unwrap_or_else(|| "interrupted".into())
    }
}
