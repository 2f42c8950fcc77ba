//! Following a request's log until the request has ended, over as many connections as that takes.

pub(crate) mod sse;

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use reqwest::{Method, header};
use serde::de::DeserializeOwned;
use tokio::time::{MissedTickBehavior, interval, timeout};
use uplift_core::{
    api::{LogLine, Request},
    request::StateCode,
};
use uuid::Uuid;

use crate::{
    backoff::Backoff,
    client::{ApiError, SILENCE, header_text},
    context::Context,
    print::{self, Sink},
};

/// The longest pause before the log is asked for again.
const PAUSE: Duration = Duration::from_secs(15);
/// How often the state is looked at beside the log: for the progress shown, and because a request that needs a
/// person has not ended, so that its log may stay open.
const LOOK: Duration = Duration::from_secs(3);
/// How long the log's last lines may take once the request has come to rest.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Where following led.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The request is final, or waits for a person.
    AtRest(Box<Request>),
    /// The time given was not enough.
    TimedOut,
}

/// Writes the log until the request is final or needs a person. A dispatcher that is away is waited for.
pub(crate) async fn follow(
    context: &Context,
    request: Uuid,
    sink: Sink,
    limit: Option<Duration>,
) -> anyhow::Result<Followed> {
    let bar = print::stage_bar();
    let mut follower = Follower {
        context,
        id: request.to_string(),
        sink,
        bar: bar.clone(),
        last: None,
        resting_since: None,
        away: false,
        queued: false,
    };
    let run = follower.run();
    let outcome = match limit {
        Some(limit) => timeout(limit, run).await,
        None => Ok(run.await),
    };
    bar.finish_and_clear();
    match outcome {
        Ok(request) => Ok(Followed::AtRest(Box::new(request?))),
        Err(_) => Ok(Followed::TimedOut),
    }
}

struct Follower<'a> {
    context: &'a Context,
    id: String,
    sink: Sink,
    bar: ProgressBar,
    /// The number of the last line shown.
    last: Option<u64>,
    resting_since: Option<Instant>,
    /// Whether it was said that the dispatcher is away.
    away: bool,
    /// Whether it was said that the request waits.
    queued: bool,
}

impl Follower<'_> {
    async fn run(&mut self) -> anyhow::Result<Request> {
        let mut backoff = Backoff::new(PAUSE);
        loop {
            match self.connection(&mut backoff).await {
                Ok(Some(request)) => return Ok(request),
                Ok(None) => {}
                Err(Broken::Api(error)) if error.is_passing() => self.say_away(),
                Err(Broken::Api(error)) => return Err(error.into()),
                Err(Broken::Output(error)) => return Err(error.into()),
            }
            backoff.pause().await;
        }
    }

    /// One connection's worth of log; the request where it came to rest, nothing where the stream just ended.
    async fn connection(&mut self, backoff: &mut Backoff) -> Result<Option<Request>, Broken> {
        let client = &self.context.client;
        let log = client.request(Method::GET, &["requests", &self.id, "log"]);
        let log = log.header(header::ACCEPT, "text/event-stream");
        let log = match self.last {
            Some(last) => log.header("Last-Event-ID", last),
            None => log,
        };
        let mut response = client.stream(log).await?;
        let kind = header_text(&response, header::CONTENT_TYPE).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return Err(client.unreadable(&format!("`{kind}` instead of a live log")).into());
        }
        let mut parser = sse::Parser::default();
        let mut heard = Instant::now();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                chunk = response.chunk() => {
                    let Some(chunk) = chunk.map_err(|error| client.unreachable(&error))? else {
                        return Ok(None);
                    };
                    heard = Instant::now();
                    self.away = false;
                    for event in parser.push(&chunk) {
                        backoff.reset();
                        if let Some(request) = self.event(&event)? {
                            return Ok(Some(request));
                        }
                    }
                }
                _ = looks.tick() => {
                    if heard.elapsed() > SILENCE {
                        return Err(client.silent().into());
                    }
                    if let Some(request) = self.look().await? {
                        return Ok(Some(request));
                    }
                }
            }
        }
    }

    fn event(&mut self, event: &sse::Event) -> Result<Option<Request>, Broken> {
        match event.kind.as_str() {
            "line" => {
                let number = event.id.parse().ok();
                // What was shown before the connection broke is not shown twice.
                if number.is_none() || number > self.last {
                    let line: LogLine = self.json(event)?;
                    self.bar.suspend(|| self.context.print.log_line(&line, self.sink))?;
                    self.last = number.or(self.last);
                }
                Ok(None)
            }
            "end" => {
                let request: Request = self.json(event)?;
                Ok(at_rest(request.state).then_some(request))
            }
            _ => Ok(None),
        }
    }

    fn json<T: DeserializeOwned>(&self, event: &sse::Event) -> Result<T, ApiError> {
        serde_json::from_str(&event.data).map_err(|error| self.context.client.unreadable(&error))
    }

    /// Shows the stage, and gives the request once it has been at rest for long enough.
    async fn look(&mut self) -> Result<Option<Request>, Broken> {
        let client = &self.context.client;
        let look = client.once(client.request(Method::GET, &["requests", &self.id]).timeout(LOOK)).await;
        let request: Request = match look {
            Ok(response) => client.read(response).await?,
            // The log is what matters; it notices by itself when the dispatcher stays away.
            Err(error) if error.is_passing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        self.bar.set_message(print::stage(&request));
        let queued = request.state == StateCode::Queued;
        if queued && !std::mem::replace(&mut self.queued, queued) {
            self.bar.suspend(|| self.context.print.note("queued: it begins as soon as a worker is free"));
        }
        self.queued = queued;
        if !at_rest(request.state) {
            self.resting_since = None;
            return Ok(None);
        }
        let since = *self.resting_since.get_or_insert_with(Instant::now);
        Ok((since.elapsed() >= LAST_LINES).then_some(request))
    }

    fn say_away(&mut self) {
        if !std::mem::replace(&mut self.away, true) {
            let words =
                "the server is away; the upgrade goes on, and so does its log once the server is back";
            self.bar.suspend(|| self.context.print.note(words));
        }
    }
}

/// Whether nothing will happen by itself.
const fn at_rest(state: StateCode) -> bool {
    state.is_final() || matches!(state, StateCode::Intervention)
}

/// Why a connection's worth of log ended early.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Output(#[from] std::io::Error),
}
