//! What one sandbox may take, and how Postgres and the job beside it share it.

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What one sandbox may take of its host.
///
/// Memory is split in halves, one for Postgres and one for the job that runs beside it, so that neither can take
/// what the other counts on. `cpus` and `pids` hold for each of the two: they mostly wait for each other. A runner is
/// watched by a third container, which takes 64 MiB at most on top.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Memory of Postgres and job together, swap excluded, `/tmp` and `/dev/shm` included; bytes.
    pub memory_bytes: u64,
    /// Processors; fractions are allowed, and no more than the host has.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: i64,
    /// What Postgres' data directory may take, a copy before a step included; bytes. Runners may write as much again into
    /// their scratch folder. It is watched once a second and Postgres is killed above
    /// it, so the volume can be larger by what is written within a second.
    pub disk_bytes: u64,
}

impl Limits {
    /// Postgres' half; bytes.
    pub(crate) fn postgres_memory(&self) -> u64 {
        self.memory_bytes / 2
    }

    /// The job's half; bytes.
    pub(crate) fn job_memory(&self) -> u64 {
        self.memory_bytes - self.postgres_memory()
    }

    /// The settings that follow from the limits, as arguments of `postgres`.
    pub(crate) fn postgres_settings(&self) -> Vec<String> {
        let memory = self.postgres_memory();
        let workers = self.workers();
        [
            ("shared_buffers", mebibytes(memory / 4)),
            ("maintenance_work_mem", mebibytes((memory / 8).min(2 * GIB))),
            ("work_mem", mebibytes((memory / 64).clamp(4 * MIB, 64 * MIB))),
            ("effective_cache_size", mebibytes(memory / 2)),
            // WAL counts against the disk budget, so it may have an eighth of it.
            ("max_wal_size", mebibytes((self.disk_bytes / 8).clamp(64 * MIB, 16 * GIB))),
            ("min_wal_size", mebibytes(32 * MIB)),
            ("max_parallel_workers", workers.to_string()),
            ("max_parallel_workers_per_gather", workers.to_string()),
            ("max_parallel_maintenance_workers", workers.to_string()),
        ]
        .into_iter()
        .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")])
        .collect()
    }

    /// How many parallel workers help: one a processor, and never more than Postgres starts by default.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 1..=8 before the cast"
    )]
    fn workers(&self) -> u8 {
        self.cpus.ceil().clamp(1.0, 8.0) as u8
    }
}

/// As Postgres spells it; never 0, which would mean something else.
fn mebibytes(bytes: u64) -> String {
    format!("{}MB", (bytes / MIB).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_whole() {
        let limits = Limits { memory_bytes: 1001, cpus: 1.0, pids: 10, disk_bytes: 0 };
        assert_eq!(limits.postgres_memory() + limits.job_memory(), 1001);
    }

    #[test]
    fn settings_follow_the_limits() {
        let limits = Limits { memory_bytes: 4 * GIB, cpus: 1.5, pids: 512, disk_bytes: 80 * GIB };
        let settings = limits.postgres_settings().join(" ");
        assert!(settings.contains("-c shared_buffers=512MB -c maintenance_work_mem=256MB -c work_mem=32MB"));
        assert!(settings.contains("-c max_wal_size=10240MB"));
        assert!(settings.contains("-c max_parallel_workers=2"));
    }
}
