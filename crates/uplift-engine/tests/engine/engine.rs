//! One run of the engine, and what it says.

use std::{
    io::{Read as _, Write as _},
    process::{Command, Stdio},
};

use uplift_core::{
    Failure,
    event::{Digest, Event},
    failure::Rejection,
    pack::Probes,
    plan::{Compression, Input, Plan, Prove, Restore},
};

use crate::cluster::{Cluster, binaries};

/// What a run gave.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) events: Vec<Event>,
}

impl Run {
    #[track_caller]
    pub(crate) fn done(&self) -> (&Digest, &Digest) {
        match self.events.last() {
            Some(Event::Done { read, wrote }) if self.code == 0 => (read, wrote),
            last => panic!("ended with {} and {last:?}", self.code),
        }
    }

    #[track_caller]
    pub(crate) fn failure(&self) -> &Failure {
        match self.events.last() {
            Some(Event::Failed { failure }) => failure,
            last => panic!("ended with {} and {last:?}", self.code),
        }
    }

    #[track_caller]
    pub(crate) fn rejection(&self) -> &Rejection {
        assert_eq!(self.code, 65);
        match self.failure() {
            Failure::InputRejected(rejection) => rejection,
            failure => panic!("{failure:?}"),
        }
    }

    /// The one event that the function picks.
    #[track_caller]
    pub(crate) fn find<'a, T>(&'a self, pick: impl Fn(&'a Event) -> Option<T>) -> T {
        self.events.iter().find_map(pick).unwrap()
    }
}

/// Runs the engine beside a cluster, or beside none.
pub(crate) fn engine(cluster: Option<&Cluster>, plan: &Plan, input: &[u8]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uplift-engine"));
    command.env_clear().env("PATH", binaries());
    if let Some(cluster) = cluster {
        command.env("PGHOST", cluster.socket());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut stderr = child.stderr.take().unwrap();
    let mut bytes = serde_json::to_vec(plan).unwrap();
    bytes.push(b'\n');
    bytes.extend_from_slice(input);
    let (mut written, mut said) = (Vec::new(), String::new());
    std::thread::scope(|scope| {
        // An engine that refuses stops reading.
        scope.spawn(move || drop(stdin.write_all(&bytes)));
        scope.spawn(|| stdout.read_to_end(&mut written).unwrap());
        stderr.read_to_string(&mut said).unwrap();
    });
    let events = said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")));
    Run { events: events.collect(), code: child.wait().unwrap().code().unwrap(), stdout: written }
}

/// Enough for every dump of the tests.
pub(crate) const MAX_EXPANDED: u64 = 1 << 30;

pub(crate) fn input(bytes: &[u8]) -> Input {
    let compression = if bytes.starts_with(&[0x1f, 0x8b]) { Compression::Gzip } else { Compression::None };
    Input { bytes: bytes.len() as u64, compression }
}

/// Restores a dump without a pack that knows it; a dump that is otherwise sound is refused for that alone.
pub(crate) fn restore_unknown(cluster: &Cluster, dump: &[u8]) -> Run {
    restore(cluster, dump, Vec::new())
}

pub(crate) fn restore(cluster: &Cluster, dump: &[u8], packs: Vec<Probes>) -> Run {
    let plan = Restore { input: input(dump), max_expanded_bytes: MAX_EXPANDED, packs };
    engine(Some(cluster), &Plan::Restore(plan), dump)
}

pub(crate) fn prove(cluster: &Cluster, dump: &[u8]) -> Run {
    let plan = Prove { input: input(dump), max_expanded_bytes: MAX_EXPANDED };
    engine(Some(cluster), &Plan::Prove(plan), dump)
}
