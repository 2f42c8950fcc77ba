//! `psql` in a fresh sandbox with the saved state, for a person: as `tenant`, in a container like a runner's, which has no
//! network, no file of the host and no other database.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::{
    io::AsyncWriteExt as _,
    time::{Instant, sleep_until},
};
use uplift_core::{
    Failure,
    plan::{Plan, Watch},
    session::{FromShell, SessionOutcome, ToShell},
};
use uplift_platform::ledger::{LogLine, Session};
use uplift_sandbox::{Job, Label, Output, Runner, Running, Sandbox};

use super::{Ending, ended, printable::Printable, socket::Socket, stopped};
use crate::{
    engine::{self, Input},
    outcome::{Ended, exit_code, of_sandbox},
    runner::overflow,
    stages::Attempt,
};

/// What is said to a terminal in its own language: it breaks off what runs, or hands over what was typed, which at the
/// beginning of a line is the end of all input.
const INTERRUPT: u8 = 0x03;
const HAND_OVER: u8 = 0x04;

/// A terminal takes 4,095 bytes of a line at most, and psql reads 1,024 at a time: a longer line is handed over in pieces.
const PIECE: usize = 1000;

/// So much may be typed ahead, in bytes.
const MUCH: usize = 8 << 20;

/// How a shell is reached, and what it may.
pub(super) struct Door<'a> {
    pub(super) dispatcher: &'a str,
    pub(super) secret: &'a str,
    pub(super) writable: bool,
}

/// Runs a shell to its end.
pub(super) async fn run(
    attempt: &mut Attempt<'_>,
    label: &Label,
    session: &Session,
    door: &Door<'_>,
) -> Ending {
    let mut socket = match Socket::dial(door.dispatcher, session.id, door.secret).await {
        Ok(socket) => socket,
        Err(error) => {
            let message =
                format!("its worker could not reach the dispatcher at {}: {error:#}", door.dispatcher);
            return Ending { outcome: SessionOutcome::Broken, message, failure: None };
        }
    };
    let hold = attempt.hold;
    let ending = tokio::select! {
        stop = hold.stopped() => stopped(stop),
        done = serve(attempt, label, session, door.writable, &mut socket) => done.unwrap_or_else(ended),
    };
    let closed = FromShell::Closed { outcome: ending.outcome, message: ending.message.clone() };
    socket.tell(&closed).await;
    socket.close().await;
    ending
}

async fn serve(
    attempt: &mut Attempt<'_>,
    label: &Label,
    session: &Session,
    writable: bool,
    socket: &mut Socket,
) -> Result<Ending, Ended> {
    let say = |text: String| FromShell::Said { text };
    let saved = &session.saved;
    socket.tell(&say(format!("restoring the state before {}: {} bytes", saved.step, saved.bytes))).await;
    let sandbox = attempt.reopen(label, session).await?;
    let may = if writable {
        "what you write is gone with the shell"
    } else {
        "read-only: `--write` opens one that may write"
    };
    socket.tell(&say(format!("the database as it was before {}; {may}", saved.step))).await;

    let plan = Plan::Watch(Watch { disk_bytes: attempt.context.config.disk_bytes });
    let watch =
        engine::Run { place: "shell", job: Job::Watch, plan: &plan, input: Input::Empty, output: None };
    let mut watching = engine::start(&sandbox, watch).await?;
    let running = sandbox.start(Job::Runner(psql(&sandbox, writable))).await;
    let mut shell = Shell::new(running.map_err(|error| of_sandbox(&error, "shell"))?);
    let idle = Duration::from_secs(attempt.context.config.session_idle_seconds);
    let mut last = Instant::now();
    let closed = |outcome, message: String| Ending { outcome, message, failure: None };
    loop {
        tokio::select! {
            output = shell.running.output.next() => match output {
                Some(Ok(Output::Stdout(bytes) | Output::Stderr(bytes))) => {
                    last = Instant::now();
                    shell.greeted = true;
                    let text = shell.printable.take(&bytes);
                    if !socket.tell(&FromShell::Output { text }).await {
                        return Ok(closed(SessionOutcome::Closed, "its engineer left".into()));
                    }
                }
                Some(Err(error)) => return Err(of_sandbox(&error, "shell").into()),
                None => return shell.end().await,
            },
            written = shell.running.stdin.write(&shell.typed), if shell.greeted && !shell.typed.is_empty() => {
                // A shell that has ended says so by its output.
                let written = written.unwrap_or(shell.typed.len());
                shell.typed.drain(..written);
            }
            told = socket.hear(), if shell.typed.len() < MUCH => match told {
                Some(told) => {
                    last = Instant::now();
                    attempt.record_typed(session, &told).await?;
                    shell.obey(told);
                }
                None => return Ok(closed(SessionOutcome::Closed, "its engineer left".into())),
            },
            ended = overflow(&mut watching) => return Err(match ended {
                Ended::Failed(failure) if matches!(*failure, Failure::OutOfDisk { .. }) => {
                    Failure::OutOfDisk { place: "shell".into() }.into()
                }
                ended => ended,
            }),
            () = sleep_until(last + idle) => {
                return Ok(closed(SessionOutcome::Idle, format!("nothing was typed or said for {} s", idle.as_secs())));
            }
        }
    }
}

impl Attempt<'_> {
    /// What an engineer does in a customer's database is on record before it is done.
    async fn record_typed(&self, session: &Session, told: &ToShell) -> Result<(), Ended> {
        let text = match told {
            ToShell::Input { text } => text,
            ToShell::Interrupt => "^C",
            ToShell::End => return Ok(()),
        };
        let (at, level) = (self.context.clock.now(), uplift_core::event::Level::Info);
        let lines: Vec<LogLine> =
            text.lines().map(|line| LogLine { at, level, text: line.to_owned() }).collect();
        Ok(self.context.ledger.append_session(session.id, self.context.worker, true, &lines).await?)
    }
}

/// The program. It has a terminal of its own, for its prompts and for interrupts, which echoes nothing: the engineer's own
/// terminal shows what is typed.
fn psql(sandbox: &Sandbox, writable: bool) -> Runner {
    let prompt = if writable { "%/%R%x%# " } else { "%/ (read-only)%R%x%# " };
    let psql = format!(
        "stty -echo -onlcr; exec psql -X -n -P pager=off -v PROMPT1='{prompt}' -v PROMPT2='{prompt}'"
    );
    let read_only = "-c default_transaction_read_only=on".to_owned();
    Runner {
        image: format!("engine:{}", sandbox.major()),
        command: ["script", "-qefc", &psql, "/dev/null"].map(ToOwned::to_owned).to_vec(),
        env: if writable { Vec::new() } else { vec![("PGOPTIONS".to_owned(), read_only)] },
    }
}

struct Shell {
    running: Running,
    printable: Printable,
    /// What was typed and not yet taken: a shell that is busy takes nothing, and what it says has to be read meanwhile.
    typed: Vec<u8>,
    /// How many bytes of the line that is being typed the terminal holds; a client sends a long line in several messages.
    held: usize,
    /// Whether it has said anything: before that its terminal may still echo.
    greeted: bool,
}

impl Shell {
    fn new(running: Running) -> Self {
        Self { running, printable: Printable::default(), typed: Vec::new(), held: 0, greeted: false }
    }

    fn obey(&mut self, told: ToShell) {
        match told {
            ToShell::Input { text } => self.type_in(&text),
            ToShell::Interrupt => {
                // As a terminal does it: what was typed before is forgotten.
                self.typed = vec![INTERRUPT];
                self.held = 0;
            }
            ToShell::End => {
                if self.held > 0 {
                    self.typed.push(b'\n');
                }
                self.typed.push(HAND_OVER);
            }
        }
    }

    /// What was typed, as a terminal takes it: without what it would obey, and no line longer than it holds.
    fn type_in(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')) {
            let mut buffer = [0; 4];
            let encoded = c.encode_utf8(&mut buffer).as_bytes();
            if self.held + encoded.len() > PIECE {
                self.typed.push(HAND_OVER);
                self.held = 0;
            }
            self.typed.extend_from_slice(encoded);
            self.held = if c == '\n' { 0 } else { self.held + encoded.len() };
        }
    }

    /// How it ended, once it says no more.
    async fn end(&mut self) -> Result<Ending, Ended> {
        let exit = self.running.handle.wait().await.map_err(|error| of_sandbox(&error, "shell"))?;
        let code = exit_code(exit, "shell")?;
        let message = format!("psql has ended with code {code}");
        Ok(Ending { outcome: SessionOutcome::Closed, message, failure: None })
    }
}
