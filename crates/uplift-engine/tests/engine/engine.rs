//! One run of the engine, and what it says.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use uplift_core::{
    Failure, Format,
    event::{Digest, Event, Files},
    failure::Rejection,
    pack::Probes,
    plan::{Dump, Input, Plan, Prove, Restore},
    version::Version,
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
        assert_eq!(self.code, 65, "{:?}", self.events.last());
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
    engine_in(Path::new("/nonexistent"), cluster, plan, input)
}

/// The same, with a folder whose `stage` and `scratch` are where runners read and write.
pub(crate) fn engine_in(folder: &Path, cluster: Option<&Cluster>, plan: &Plan, input: &[u8]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uplift-engine"));
    command.env_clear().env("PATH", binaries());
    command.env("UPLIFT_STAGE", folder.join("stage")).env("UPLIFT_SCRATCH", folder.join("scratch"));
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
    let magics: [(&[u8], Format); 5] = [
        (&[0x1f, 0x8b], Format::Gzip),
        (b"\x28\xb5\x2f\xfd", Format::Zstd),
        (b"\xfd7zXZ", Format::Xz),
        (b"PGDMP", Format::Custom),
        (b"PK", Format::Zip),
    ];
    let known = magics.iter().find(|(magic, _)| bytes.starts_with(magic));
    Input { bytes: bytes.len() as u64, format: known.map_or(Format::Plain, |(_, format)| *format) }
}

/// A dump that changes and asks nothing.
pub(crate) fn dump_as(format: Format) -> Dump {
    Dump {
        format,
        backup: None,
        filestore: None,
        manifest: None,
        source_major: None,
        neutralize: Vec::new(),
        reconcile: Vec::new(),
    }
}

/// Where upgrades lead that nothing is asked about.
pub(crate) fn target() -> Version {
    "3.0".parse().expect("a version")
}

/// Restores a dump without a pack that knows it; a dump that is otherwise sound is refused for that alone.
pub(crate) fn restore_unknown(cluster: &Cluster, dump: &[u8]) -> Run {
    restore(cluster, dump, Vec::new())
}

pub(crate) fn restore(cluster: &Cluster, dump: &[u8], packs: Vec<Probes>) -> Run {
    let plan = Restore { input: input(dump), max_expanded_bytes: MAX_EXPANDED, target: target(), packs };
    engine(Some(cluster), &Plan::Restore(plan), dump)
}

pub(crate) fn prove(cluster: &Cluster, dump: &[u8]) -> Run {
    prove_with(cluster, dump, None)
}

/// The same for a zip, with what has to lie beside its dump.
pub(crate) fn prove_with(cluster: &Cluster, dump: &[u8], files: Option<Files>) -> Run {
    let plan = Prove { input: input(dump), max_expanded_bytes: MAX_EXPANDED, files };
    engine(Some(cluster), &Plan::Prove(plan), dump)
}
