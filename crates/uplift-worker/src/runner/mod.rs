//! One run of a pack's own code beside the job's Postgres: its output is the customer's log, its end is told apart.

mod heard;
mod line;
mod traceback;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use tokio::{io::AsyncWriteExt as _, time::timeout};
use uplift_core::{
    Failure,
    event::{Event, StepDone},
    pack::Run,
    plan::{Plan, Watch},
};
use uplift_sandbox::{Handle, Job, Output, OutputStream, Runner, Running, Sandbox};

use crate::{
    engine::{self, Input, Session},
    outcome::{Ended, chain, exit_code, of_sandbox},
    spans::Steps,
    stages::{Attempt, broken},
};
use heard::{Heard, Told};

/// A longer line is taken as several, in bytes.
const LONGEST_LINE: usize = 16 << 10;

/// How long a run may live on after its output has ended: it closes it when it ends, so what takes longer is a connection
/// that broke, and what was said meanwhile is lost.
const ENDING: Duration = Duration::from_secs(30);

impl Attempt<'_> {
    /// Runs a step of the product's own code to its end.
    pub(crate) async fn run_runner(
        &mut self,
        sandbox: &Sandbox,
        run: &Run,
        has_filestore: bool,
    ) -> Result<(), Ended> {
        let mut steps = Steps::default();
        let ran = self.run_timed(sandbox, run, has_filestore, &mut steps).await;
        steps.end(ran.as_ref().err());
        ran
    }

    async fn run_timed(
        &mut self,
        sandbox: &Sandbox,
        run: &Run,
        has_filestore: bool,
        steps: &mut Steps,
    ) -> Result<(), Ended> {
        let began = Instant::now();
        self.happen(Event::StepStarted { step: run.id.clone() }, steps).await?;
        let plan = Plan::Watch(Watch { disk_bytes: self.context.config.disk_bytes });
        let watch =
            engine::Run { place: &run.id, job: Job::Watch, plan: &plan, input: Input::Empty, output: None };
        // Side by side: each takes a container.
        let (watching, program) = tokio::join!(
            engine::start(sandbox, watch),
            Program::start(sandbox, run, self.surroundings(has_filestore))
        );
        let (mut watching, mut program) = (watching?, program?);
        let mut heard = Heard::new(run);
        let given = Duration::from_secs(run.timeout_seconds);
        let ended = tokio::select! {
            code = timeout(given, self.listen_to(&mut program, run, &mut heard)) => code.unwrap_or_else(|_| {
                let (place, seconds) = (run.id.clone(), run.timeout_seconds);
                Err(Failure::DeadlinePassed { place, seconds }.into())
            }),
            ended = overflow(&mut watching) => Err(match ended {
                Ended::Failed(failure) if matches!(*failure, Failure::OutOfDisk { .. }) => {
                    Failure::OutOfDisk { place: run.id.clone() }.into()
                }
                ended => ended,
            }),
        };
        if ended.is_err() {
            program.kill().await;
        }
        watching.kill().await;
        let code = ended?;
        let now = Instant::now();
        let done = StepDone {
            step: run.id.clone(),
            rows: 0,
            notices: heard.notices,
            millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            timings: heard.timings(now),
        };
        match heard.failure(code) {
            Some(failure) => Err(Failure::ScriptFailed(failure).into()),
            None => self.happen(Event::StepDone(done), steps).await,
        }
    }

    /// What of its surroundings a run cannot see by itself.
    fn surroundings(&self, has_filestore: bool) -> [(String, String); 2] {
        let files = if has_filestore { "yes" } else { "no" };
        [
            ("UPLIFT_TARGET".to_owned(), self.request.target.to_string()),
            ("UPLIFT_HAS_FILESTORE".to_owned(), files.to_owned()),
        ]
    }

    /// Hands on what the run says, and gives its exit code.
    async fn listen_to(&self, program: &mut Program, run: &Run, heard: &mut Heard<'_>) -> Result<i64, Ended> {
        while let Some(line) = program.next().await? {
            let Told { level, place } = heard.hear(&line, Instant::now());
            if let Some((done, total)) = place {
                self.progress_within(done, total);
            }
            self.log.say(level, &line).await;
        }
        program.ended(&run.id).await
    }
}

/// A run's program, and what it says, line by line.
struct Program {
    handle: Handle,
    output: OutputStream,
    lines: [Lines; 2],
    ready: VecDeque<String>,
    broke: bool,
}

impl Program {
    async fn start(sandbox: &Sandbox, run: &Run, ours: [(String, String); 2]) -> Result<Self, Ended> {
        let job = Job::Runner(Runner {
            image: run.image.clone(),
            command: run.command.clone(),
            env: run.env.clone().into_iter().chain(ours).collect(),
        });
        let started = sandbox.start(job).await.map_err(|error| of_sandbox(&error, &run.id))?;
        let Running { mut stdin, output, handle } = started;
        // It has nothing to read.
        let _ = stdin.shutdown().await;
        Ok(Self { handle, output, lines: Default::default(), ready: VecDeque::new(), broke: false })
    }

    /// The next line; none once it says no more.
    async fn next(&mut self) -> Result<Option<String>, Ended> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(Some(line));
            }
            match self.output.next().await {
                Some(Ok(Output::Stdout(bytes))) => self.lines[0].take(&bytes, &mut self.ready),
                Some(Ok(Output::Stderr(bytes))) => self.lines[1].take(&bytes, &mut self.ready),
                Some(Err(error)) => {
                    tracing::warn!(error = chain(&error), "a run's connection broke");
                    self.broke = true;
                    return Ok(None);
                }
                None => {
                    self.lines.iter_mut().for_each(|lines| lines.end(&mut self.ready));
                    if self.ready.is_empty() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// How it ended, once it says no more.
    async fn ended(&mut self, place: &str) -> Result<i64, Ended> {
        let exit = match timeout(ENDING, self.handle.wait()).await {
            Ok(exit) => exit.map_err(|error| of_sandbox(&error, place))?,
            Err(_) => return Err(broken(place, "the run goes on, and what it says is not heard any more")),
        };
        let code = exit_code(exit, place)?;
        // What it said last may be what matters.
        if self.broke && code == 0 {
            Err(broken(place, "the connection to the run's output broke"))
        } else {
            Ok(code)
        }
    }

    async fn kill(&mut self) {
        if let Err(error) = self.handle.kill().await {
            tracing::warn!(error = chain(&error), "kill a run");
        }
    }
}

/// Bytes on their way to being lines.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn take(&mut self, bytes: &[u8], ready: &mut VecDeque<String>) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.0.extend_from_slice(part);
            if part.ends_with(b"\n") || self.0.len() >= LONGEST_LINE {
                self.end(ready);
            }
        }
    }

    fn end(&mut self, ready: &mut VecDeque<String>) {
        if !self.0.is_empty() {
            let line = String::from_utf8_lossy(&self.0);
            ready.push_back(line.trim_end_matches(['\n', '\r']).to_owned());
            self.0.clear();
        }
    }
}

/// Waits until the watch says that the run takes too much; while all is well it says nothing.
pub(crate) async fn overflow(watching: &mut Session<'_>) -> Ended {
    loop {
        match watching.next().await {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(ended) => return ended,
        }
    }
    match watching.finish().await {
        Err(ended) => ended,
        Ok(_) => broken("watch", "the watch over a run ended before the run did"),
    }
}
