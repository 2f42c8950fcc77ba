//! The configuration: one TOML file for all processes of a fleet. Unknown keys are errors.
//!
//! Every value can also stand in the environment, which wins over the file: `UPLIFT__LEDGER__URL` is `url` in
//! section `ledger`. That is where secrets belong.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZeroU16,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use secrecy::SecretString;
use serde::Deserialize;
use toml::{Table, Value};
use uplift_core::event::Stage;
use url::Url;

use crate::{hints::HintsConfig, objects::ObjectsConfig};

/// How an environment variable that overrides the file begins.
const PREFIX: &str = "UPLIFT__";

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The ledger.
    pub ledger: LedgerConfig,
    /// The message broker.
    pub hints: HintsConfig,
    /// The object store.
    pub objects: ObjectsConfig,
    /// The dispatcher.
    #[serde(default)]
    pub dispatcher: DispatcherConfig,
    /// The worker.
    #[serde(default)]
    pub worker: WorkerConfig,
    /// The exporter.
    #[serde(default)]
    pub exporter: ExporterConfig,
}

/// Where the ledger is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerConfig {
    /// `postgres://user:password@host:port/database`.
    pub url: SecretString,
}

/// What the dispatcher needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DispatcherConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it tells Prometheus what it alone sees.
    pub metrics_listen: SocketAddr,
    /// Minutes in which an upgrade is promised to be delivered, from the completion of its upload; of new requests.
    pub target_minutes: NonZeroU16,
    /// Seconds between two sweeps.
    pub sweep_seconds: u64,
    /// Hours after which a request whose upload never came is cancelled.
    pub upload_hours: u64,
    /// Seconds after which an upload that stands on no record is aborted: its process died before it could write it
    /// down. Far more than recording takes.
    pub orphan_seconds: u64,
    /// Minutes for which a link to an object is valid.
    pub link_minutes: u64,
    /// Where workers reach this very process, and no other one behind the same name: an engineer's shell meets its worker
    /// here. Where it is empty, `listen`, or the machine's name where that is any address.
    pub address: String,
    /// Days for which a dump that was handed in is kept once its request has ended; a delivered production's is kept as long
    /// as its result.
    pub source_days: u64,
    /// Days for which results, reports, logs and saved states are kept.
    pub result_days: u64,
    /// The largest dump that is taken, in bytes.
    pub max_dump_bytes: u64,
    /// The server that mail goes out by; without it, none is sent.
    pub mail: Option<MailConfig>,
    /// Whether webhooks may lead into the network that the dispatcher stands in, and need not be https.
    pub webhooks_to_private: bool,
    /// How customers reach the platform, such as `https://upgrade.example.com`; where it is empty, as each of them does.
    pub public_url: Option<Url>,
    /// The command line's programs that are handed out to machines that have none, by platform, such as `linux-x86_64`.
    pub clients: BTreeMap<String, PathBuf>,
}

/// How mail goes out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// `smtps://user:password@host`, or `smtp://host:port`, with `?tls=required` or `?tls=opportunistic` for STARTTLS.
    pub url: SecretString,
    /// Who it is from, such as `Uplift <uplift@example.com>`.
    pub from: String,
}

/// What a worker needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// How many requests it takes at once.
    pub slots: u16,
    /// How many engineers' sessions it runs at once, beside its slots: a shell or a dry run takes as much as a request.
    /// 0 leaves them to other workers.
    pub session_slots: u16,
    /// Seconds after which a shell is closed in which nothing was typed and nothing said.
    pub session_idle_seconds: u64,
    /// Seconds that a shell may take in all; a dry run may take as long as an attempt.
    pub session_seconds: u64,
    /// Where it answers about its health.
    pub listen: SocketAddr,
    /// Memory of one sandbox, in bytes.
    pub memory_bytes: u64,
    /// Processors of one sandbox.
    pub cpus: f64,
    /// Processes of one container.
    pub pids: i64,
    /// Disk of one sandbox, in bytes.
    pub disk_bytes: u64,
    /// A dump that is larger than this after decompression is refused, in bytes.
    pub max_expanded_bytes: u64,
    /// Seconds that one attempt may take.
    pub attempt_seconds: u64,
    /// Seconds that each of its stages may take.
    pub stage_seconds: StageSeconds,
    /// Seconds that running requests have to finish once the worker is told to stop; then they are handed back.
    pub grace_seconds: u64,
    /// Whether tests are proven too, not only production.
    pub prove_tests: bool,
    /// Seconds between two looks at the ledger when no hint comes.
    pub poll_seconds: u64,
    /// Seconds between two looks for leftovers.
    pub reap_seconds: u64,
    /// What dumps are worked on in.
    pub sandbox: SandboxKind,
    /// Where the sandboxes of processes lie, one directory a fleet.
    pub sandbox_directory: PathBuf,
    /// Docker's unix socket; where unset, `DOCKER_HOST` or `/var/run/docker.sock`.
    pub docker_socket: Option<PathBuf>,
    /// What the images' names begin with: `uplift` means `uplift/postgres:15`.
    pub images: String,
    /// The fleet's name. Two fleets that share a Docker host need two names: a reaper removes what its own
    /// ledger does not know.
    pub fleet: String,
}

/// How long an attempt may stay in a stage, in seconds. The stage `upgrade` has no limit of its own: its steps have.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StageSeconds {
    /// Reading the first bytes, opening the sandbox.
    pub fetch: u64,
    /// The dump goes into Postgres.
    pub restore: u64,
    /// The result comes out and goes to the object store.
    pub dump: u64,
    /// The result goes into a second database and is compared.
    pub prove: u64,
    /// The report is stored.
    pub settle: u64,
}

/// What dumps are worked on in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxKind {
    /// Containers, which a hostile dump cannot leave.
    #[default]
    Docker,
    /// Plain processes: no containment, for dumps that one trusts.
    Process,
    /// Containers where Docker answers and has the images, else processes.
    Auto,
}

/// What the exporter needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExporterConfig {
    /// Where it listens.
    pub listen: SocketAddr,
}

impl Default for DispatcherConfig {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            metrics_listen: ([127, 0, 0, 1], 0).into(),
            target_minutes: NonZeroU16::MIN.saturating_add(119),
            sweep_seconds: 2,
            upload_hours: 24,
            orphan_seconds: 3600,
            link_minutes: 60,
            source_days: 7,
            result_days: 30,
            address: String::new(),
            max_dump_bytes: 1 << 40,
            mail: None,
            webhooks_to_private: false,
            public_url: None,
            clients: BTreeMap::new(),
        }
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            slots: 1,
            session_slots: 1,
            session_idle_seconds: 900,
            session_seconds: 3600,
            listen: ([127, 0, 0, 1], 0).into(),
            memory_bytes: 2 << 30,
            cpus: 2.0,
            pids: 512,
            disk_bytes: 50 << 30,
            max_expanded_bytes: 200 << 30,
            attempt_seconds: 4 * 3600,
            stage_seconds: StageSeconds::default(),
            grace_seconds: 25,
            prove_tests: false,
            poll_seconds: 10,
            reap_seconds: 30,
            sandbox: SandboxKind::default(),
            sandbox_directory: "/var/tmp/uplift-sandboxes".into(),
            docker_socket: None,
            images: "uplift".into(),
            fleet: "uplift".into(),
        }
    }
}

impl StageSeconds {
    /// No limit for any.
    #[must_use]
    pub const fn none() -> Self {
        Self { fetch: u64::MAX, restore: u64::MAX, dump: u64::MAX, prove: u64::MAX, settle: u64::MAX }
    }

    /// How long an attempt may stay in a stage, where that has a limit.
    #[must_use]
    pub const fn limit(&self, stage: Stage) -> Option<Duration> {
        let seconds = match stage {
            Stage::Fetch => self.fetch,
            Stage::Restore => self.restore,
            Stage::Upgrade => return None,
            Stage::Dump => self.dump,
            Stage::Prove => self.prove,
            Stage::Settle => self.settle,
        };
        Some(Duration::from_secs(seconds))
    }
}

impl Default for StageSeconds {
    fn default() -> Self {
        Self { fetch: 900, restore: 2 * 3600, dump: 2 * 3600, prove: 2 * 3600, settle: 900 }
    }
}

impl Default for ExporterConfig {
    fn default() -> Self {
        Self { listen: ([127, 0, 0, 1], 9464).into() }
    }
}

impl Config {
    /// Reads the file and the environment.
    ///
    /// # Errors
    /// The file cannot be read, a key is unknown or a value is of the wrong kind; the message names it.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("read the configuration {}", path.display()))?;
        Self::parse(&text, std::env::vars()).with_context(|| format!("in {}", path.display()))
    }

    /// Reads a file's text, with variables of an environment on top.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn parse(text: &str, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let overrides: BTreeMap<String, String> = environment
            .into_iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_lowercase(), value)))
            .collect();
        if overrides.is_empty() {
            // Parsed from its text, the file's errors have their line.
            return Ok(toml::from_str(text)?);
        }
        let mut table: Table = toml::from_str(text)?;
        for (name, value) in overrides {
            let Some((section, key)) = name.split_once("__") else {
                bail!(
                    "{PREFIX}{} names no section and key, as {PREFIX}LEDGER__URL does",
                    name.to_uppercase()
                );
            };
            let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            let section = section.as_table_mut().context("a section is not a table")?;
            section.insert(key.to_owned(), scalar(&value));
        }
        Ok(table.try_into()?)
    }
}

/// A number or a truth value where it reads as one, else a text.
fn scalar(text: &str) -> Value {
    match toml::from_str::<Table>(&format!("value = {text}")).ok().and_then(|mut table| table.remove("value"))
    {
        Some(value @ (Value::Integer(_) | Value::Float(_) | Value::Boolean(_))) => value,
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::Config;

    const SAMPLE: &str = include_str!("../../../deploy/uplift.toml");

    fn parse(text: &str, environment: &[(&str, &str)]) -> anyhow::Result<Config> {
        Config::parse(text, environment.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    #[test]
    fn the_sample_file_is_valid() {
        parse(SAMPLE, &[]).unwrap();
    }

    #[test]
    fn the_environment_wins() {
        let config = parse(
            SAMPLE,
            &[("UPLIFT__LEDGER__URL", "postgres://elsewhere/x"), ("UPLIFT__WORKER__SLOTS", "7")],
        );
        let config = config.unwrap();
        assert_eq!(config.ledger.url.expose_secret(), "postgres://elsewhere/x");
        assert_eq!(config.worker.slots, 7);
    }

    #[test]
    fn unknown_keys_are_errors() {
        let unknown = parse(&SAMPLE.replace("\nslots =", "\nslot ="), &[]).unwrap_err();
        assert!(format!("{unknown:#}").contains("unknown field `slot`"), "{unknown:#}");
        let unknown = parse(SAMPLE, &[("UPLIFT__WORKER__SLOT", "7")]).unwrap_err();
        assert!(format!("{unknown:#}").contains("unknown field `slot`"), "{unknown:#}");
    }
}
