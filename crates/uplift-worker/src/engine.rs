//! One run of the engine: the plan and the input go in, the output and the events come out, and none of it is
//! believed before the engine's last word, its exit code and our own count agree.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::BoxFuture};
use tokio::{io::AsyncWriteExt as _, time::timeout};
use uplift_core::{
    Failure,
    event::{Digest, Event, exit},
    plan::Plan,
};
use uplift_platform::objects::{Reader, Writer};
use uplift_sandbox::{Exit, Handle, Job, Output, OutputStream, Running, Sandbox, Stdin};

use crate::outcome::{
    Ended, chain, exit_code, infrastructure, of_objects, of_sandbox, of_scripts, of_source,
};

/// No event is longer than this, in bytes: a report of ten thousand tables fits well.
const MAX_EVENT: usize = 32 << 20;

/// An engine that says nothing for this long, not even that it lives, is not there any more.
const SILENCE: Duration = Duration::from_secs(60);

/// How long the engine has to end once its output has.
const ENDING: Duration = Duration::from_secs(30);

/// What is run, and where its bytes come from and go to.
pub(crate) struct Run<'a> {
    /// What a failure says about where it happened.
    pub(crate) place: &'a str,
    /// What it reaches.
    pub(crate) job: Job,
    /// What the engine is told.
    pub(crate) plan: &'a Plan,
    /// The bytes behind the plan.
    pub(crate) input: Input<'a>,
    /// Where its output goes; an engine that has no output to give may have none.
    pub(crate) output: Option<&'a mut Writer>,
}

/// The bytes behind the plan.
pub(crate) enum Input<'a> {
    /// None.
    Empty,
    /// A few.
    Bytes(Bytes),
    /// The customer's dump.
    Source(&'a mut Reader),
    /// The customer's own scripts.
    Scripts(&'a mut Reader),
    /// Our own result.
    Result(&'a mut Reader),
}

/// What a good run read and wrote, as the engine counted it.
pub(crate) struct Ran {
    /// Behind the plan.
    pub(crate) read: Digest,
    /// To its stdout; as many bytes have arrived.
    pub(crate) wrote: Digest,
}

/// An engine at work. Ask it for events until there are none, then for its end; whoever gives up before that kills
/// it.
pub(crate) struct Session<'a> {
    place: &'a str,
    handle: Handle,
    output: OutputStream,
    to: Option<&'a mut Writer>,
    /// While input is being fed. Its end gives stdin back.
    feeding: Option<BoxFuture<'a, Result<Stdin, Ended>>>,
    stdin: Option<Stdin>,
    said: Said,
    line: Vec<u8>,
    events: VecDeque<Event>,
}

/// Starts the engine.
pub(crate) async fn start<'a>(sandbox: &Sandbox, run: Run<'a>) -> Result<Session<'a>, Ended> {
    let Run { place, job, plan, input, output: to } = run;
    let mut line = serde_json::to_vec(plan).map_err(|error| infrastructure(place, &error))?;
    line.push(b'\n');
    let Running { stdin, output, handle } =
        sandbox.start(job).await.map_err(|error| of_sandbox(&error, place))?;
    Ok(Session {
        place,
        handle,
        output,
        to,
        feeding: Some(Box::pin(feed(place, stdin, line, input))),
        stdin: None,
        said: Said::default(),
        line: Vec::new(),
        events: VecDeque::new(),
    })
}

impl Session<'_> {
    /// The next event; none once the engine has said its last word and all of its output has arrived.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Ended> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if self.said.is_complete() {
                return Ok(None);
            }
            tokio::select! {
                biased;
                // Output that ends while input is still being fed: the engine has given up, and said why.
                piece = timeout(SILENCE, self.output.next()) => match piece {
                    Err(_) => return Err(broken(self.place, "the engine fell silent")),
                    Ok(Some(Ok(piece))) => self.take(piece).await?,
                    // A connection that broke says as little as one that ended. How the engine ended, or whether
                    // Docker is away, is what its end is asked for.
                    Ok(Some(Err(error))) => {
                        tracing::warn!(error = chain(&error), "an engine's connection broke");
                        return Ok(None);
                    }
                    Ok(None) => return Ok(None),
                },
                fed = fed(&mut self.feeding) => {
                    self.stdin = Some(fed?);
                    self.feeding = None;
                }
            }
        }
    }

    /// The end of a run whose events were all taken. The engine waits for the end of its input before it ends, so
    /// that nothing it said gets lost.
    pub(crate) async fn finish(&mut self) -> Result<Ran, Ended> {
        let heard = self.said.done.is_some() && self.said.failed.is_none();
        if let Some(feeding) = self.feeding.take().filter(|_| heard) {
            // Everything was read; the feeding has only not been asked yet whether it is through.
            let fed = timeout(ENDING, feeding).await;
            self.stdin = Some(fed.map_err(|_| broken(self.place, "the input did not end"))??);
        }
        if let Some(mut stdin) = self.stdin.take() {
            let _ = stdin.shutdown().await;
        }
        let exit = match timeout(ENDING, self.handle.wait()).await {
            Ok(exit) => exit.map_err(|error| of_sandbox(&error, self.place))?,
            Err(_) => return Err(broken(self.place, "the engine did not end after its last word")),
        };
        judge(self.place, std::mem::take(&mut self.said), exit)
    }

    /// Ends an engine whose run has failed on our side.
    pub(crate) async fn kill(&mut self) {
        if let Err(error) = self.handle.kill().await {
            tracing::warn!(error = chain(&error), "kill an engine");
        }
    }

    async fn take(&mut self, piece: Output) -> Result<(), Ended> {
        match piece {
            Output::Stdout(bytes) => {
                self.said.written += bytes.len() as u64;
                if let Some(to) = &mut self.to {
                    to.write(bytes).await.map_err(|error| of_objects(&error, self.place))?;
                }
            }
            Output::Stderr(bytes) => {
                for part in bytes.split_inclusive(|&byte| byte == b'\n') {
                    self.line.extend_from_slice(part);
                    if self.line.len() > MAX_EVENT {
                        return Err(broken(self.place, "the engine wrote a line without an end"));
                    }
                    if self.line.ends_with(b"\n") {
                        self.events.extend(self.said.listen(&self.line));
                        self.line.clear();
                    }
                }
            }
        }
        Ok(())
    }
}

/// The end of the feeding; never where there is none.
async fn fed(feeding: &mut Option<BoxFuture<'_, Result<Stdin, Ended>>>) -> Result<Stdin, Ended> {
    match feeding {
        Some(feeding) => feeding.await,
        None => std::future::pending().await,
    }
}

/// Feeds the plan and the input. A pipe that breaks is no failure by itself: the engine says why it closed it.
async fn feed(place: &str, mut stdin: Stdin, line: Vec<u8>, input: Input<'_>) -> Result<Stdin, Ended> {
    let mut open = stdin.write_all(&line).await.is_ok();
    match input {
        Input::Empty => {}
        Input::Bytes(bytes) => open = open && stdin.write_all(&bytes).await.is_ok(),
        Input::Source(reader) => {
            while open && let Some(chunk) = reader.next().await.map_err(|error| of_source(&error, place))? {
                open = stdin.write_all(&chunk).await.is_ok();
            }
        }
        Input::Scripts(reader) => {
            while open && let Some(chunk) = reader.next().await.map_err(|error| of_scripts(&error, place))? {
                open = stdin.write_all(&chunk).await.is_ok();
            }
        }
        Input::Result(reader) => {
            while open && let Some(chunk) = reader.next().await.map_err(|error| of_objects(&error, place))? {
                open = stdin.write_all(&chunk).await.is_ok();
            }
        }
    }
    if open {
        let _ = stdin.flush().await;
    }
    Ok(stdin)
}

/// The engine's last word, and what we counted of its output.
#[derive(Default)]
struct Said {
    done: Option<(Digest, Digest)>,
    failed: Option<Failure>,
    written: u64,
    /// The last line that was no event: what a crash leaves behind.
    noise: String,
}

impl Said {
    /// Reads a line: the last word is kept, other events are handed on.
    fn listen(&mut self, line: &[u8]) -> Option<Event> {
        match serde_json::from_slice(line) {
            Ok(Event::Done { read, wrote }) => self.done = Some((read, wrote)),
            Ok(Event::Failed { failure }) => self.failed = Some(failure),
            Ok(event) => return Some(event),
            Err(_) => self.noise = String::from_utf8_lossy(line).trim().chars().take(500).collect(),
        }
        None
    }

    /// Whether nothing more can come: both outputs travel side by side, so the last word may overtake the bytes.
    fn is_complete(&self) -> bool {
        self.failed.is_some() || self.done.as_ref().is_some_and(|(_, wrote)| self.written >= wrote.bytes)
    }
}

/// Believes the engine only where its last word, its exit code and our count agree.
fn judge(place: &str, said: Said, exit: Exit) -> Result<Ran, Ended> {
    let code = exit_code(exit, place)?;
    match (said.failed, said.done) {
        (Some(failure), _) if code == exit::of(&failure) => Err(failure.into()),
        (None, Some((read, wrote))) if code == exit::DONE && wrote.bytes == said.written => {
            Ok(Ran { read, wrote })
        }
        (None, Some((_, wrote))) if code == exit::DONE => {
            Err(broken(place, &format!("the engine wrote {} bytes, {} arrived", wrote.bytes, said.written)))
        }
        _ => {
            Err(broken(place, &format!("the engine ended with code {code} and no last word; {}", said.noise)))
        }
    }
}

fn broken(place: &str, message: &str) -> Ended {
    Failure::Infrastructure { place: place.to_owned(), message: message.to_owned() }.into()
}
