//! Looks into saved states: a shell, which is joined to `psql` on a worker, and dry runs, whose log is shown as it goes.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::{sync::mpsc, time::sleep};
use tokio_tungstenite::tungstenite::Message;
use uplift_core::{
    api::{SessionEnd, SessionLog, SessionView},
    session::{FromShell, SessionOutcome, ToShell},
};
use uuid::Uuid;

use crate::{
    cli::Sessions,
    client::{Patience, WebSocket},
    context::Context,
    exit::Exit,
    print::Sink,
    text,
};

/// How often a dry run is asked what it has said.
const LOOK: Duration = Duration::from_millis(500);

/// A longer line is sent in pieces, in bytes.
const PIECE: u64 = 64 << 10;

/// Does what was asked.
pub(crate) async fn execute(context: &Context, command: Sessions) -> anyhow::Result<Exit> {
    match command {
        Sessions::List { intervention } => list(context, intervention).await?,
        Sessions::Log { session } => {
            let mut after = 0;
            loop {
                let found = read(context, session, after).await?;
                let Some(last) = found.lines.last() else { break };
                after = last.number;
                say(context, &found, Sink::Stdout)?;
            }
        }
        Sessions::Close { session } => {
            let path = ["ops", "sessions", &session.to_string(), "close"];
            let closed: SessionView = context.client.post(&path, &json!({}), Patience::Short).await?;
            if context.print.is_json() {
                context.print.json(&closed)?;
            } else {
                context.print.note("it is ended within some seconds");
            }
        }
    }
    Ok(Exit::Ok)
}

async fn list(context: &Context, intervention: Uuid) -> anyhow::Result<()> {
    let path = ["ops", "interventions", &intervention.to_string(), "sessions"];
    let list: Vec<SessionView> = context.client.get(&path, &[], Patience::Short).await?;
    if context.print.is_json() {
        context.print.json(&list)?;
        return Ok(());
    }
    if list.is_empty() {
        context.print.note("nobody has looked into its state");
        return Ok(());
    }
    let now = context.clock.now();
    let row = |found: &SessionView| {
        let state = match (&found.ended, found.started_at) {
            (Some(SessionEnd { outcome, message, .. }), _) => format!("{outcome}: {}", text::line(message)),
            (None, Some(_)) => "running".into(),
            (None, None) => "waiting for a worker".into(),
        };
        let kind = if found.writable { format!("{}, may write", found.kind) } else { found.kind.to_string() };
        vec![found.id.to_string(), kind, text::ago(found.opened_at, now), text::line(&found.opened_by), state]
    };
    let head = ["SESSION", "KIND", "OPENED", "BY", "STATE"];
    context.print.table(&head, &list.iter().map(row).collect::<Vec<_>>())?;
    Ok(())
}

/// Asks for a dry run and shows its log until its end.
pub(crate) async fn dry_run(context: &Context, intervention: Uuid) -> anyhow::Result<Exit> {
    let path = ["ops", "interventions", &intervention.to_string(), "dry-run"];
    let opened: SessionView = context.client.post(&path, &json!({}), Patience::Short).await?;
    let id = opened.id;
    context.interrupted.leaves(format!(
        "the dry run goes on: `uplift ops sessions log {id}` shows it, `uplift ops sessions close {id}` ends it"
    ));
    let mut after = 0;
    loop {
        let found = read(context, id, after).await?;
        let sink = if context.print.is_json() { Sink::Stderr } else { Sink::Stdout };
        say(context, &found, sink)?;
        match (found.lines.last(), &found.session.ended) {
            (Some(last), _) => after = last.number,
            (None, Some(ended)) => {
                if context.print.is_json() {
                    context.print.json(&found.session)?;
                }
                return Ok(exit(ended.outcome));
            }
            (None, None) => sleep(LOOK).await,
        }
    }
}

const fn exit(outcome: SessionOutcome) -> Exit {
    match outcome {
        SessionOutcome::Passed => Exit::Ok,
        SessionOutcome::Failed => Exit::Intervention,
        SessionOutcome::Closed
        | SessionOutcome::Idle
        | SessionOutcome::TooLong
        | SessionOutcome::Lost
        | SessionOutcome::Broken => Exit::Error,
    }
}

async fn read(context: &Context, session: Uuid, after: u64) -> anyhow::Result<SessionLog> {
    let path = ["ops", "sessions", &session.to_string()];
    Ok(context.client.get(&path, &[("after", &after.to_string())], Patience::Long).await?)
}

fn say(context: &Context, found: &SessionLog, sink: Sink) -> io::Result<()> {
    found.lines.iter().try_for_each(|line| context.print.log_line(&line.line, sink))
}

/// Opens a shell: what comes on stdin goes there, what it writes goes to stdout.
pub(crate) async fn shell(context: &Context, intervention: Uuid, write: bool) -> anyhow::Result<Exit> {
    let path = ["ops", "interventions", &intervention.to_string(), "shell"];
    let query: &[(&str, &str)] = if write { &[("write", "true")] } else { &[] };
    let mut socket = context.client.websocket(&path, query).await?;
    context.interrupted.is_handled();
    let mut typed = stdin();
    let mut open = true;
    let mut left = false;
    loop {
        let told = tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => match hear(context, &text)? {
                    Some(exit) => return Ok(exit),
                    None => {
                        left = false;
                        continue;
                    }
                },
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    anyhow::bail!("the connection to the shell broke: open another one");
                }
                Some(Ok(_)) => continue,
            },
            line = typed.recv(), if open => match line {
                Some(text) => {
                    left = false;
                    ToShell::Input { text }
                }
                None => {
                    open = false;
                    ToShell::End
                }
            },
            _ = tokio::signal::ctrl_c() => {
                if std::mem::replace(&mut left, true) {
                    // Nothing came of the first one: whoever wants to leave may.
                    return Ok(Exit::Interrupted);
                }
                ToShell::Interrupt
            }
        };
        tell(&mut socket, &told).await?;
    }
}

/// Shows what the shell says; its exit where it is over.
fn hear(context: &Context, message: &str) -> anyhow::Result<Option<Exit>> {
    match serde_json::from_str(message) {
        Ok(FromShell::Output { text }) => {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            // A prompt has no line break.
            out.flush()?;
        }
        Ok(FromShell::Said { text }) => context.print.note(&text::line(&text)),
        Ok(FromShell::Closed { outcome, message }) => {
            if io::stdout().is_terminal() {
                context.print.out("")?;
            }
            context.print.note(&format!("the shell is over: {}", text::line(&message)));
            return Ok(Some(if outcome == SessionOutcome::Closed { Exit::Ok } else { exit(outcome) }));
        }
        // It is newer than this program, and says more than that knows.
        Err(_) => {}
    }
    Ok(None)
}

async fn tell(socket: &mut WebSocket, told: &ToShell) -> anyhow::Result<()> {
    let text = serde_json::to_string(told)?;
    Ok(socket.send(Message::text(text)).await?)
}

/// What comes on stdin, line by line as far as they go, on a thread of its own: reading it cannot be broken off.
fn stdin() -> mpsc::Receiver<String> {
    let (lines, typed) = mpsc::channel(100);
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            match stdin.by_ref().take(PIECE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if lines.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    typed
}
