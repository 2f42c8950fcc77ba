//! Peak memory, sampled while something runs.
//!
//! What counts is what cannot be taken back: anonymous pages, shared memory and the kernel's own (sockets, page
//! tables), summed over all processes of a cgroup. A cgroup's own high-water mark would count the page cache as well,
//! which is there to be dropped: a dump that streams through would make any process look large.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

const EVERY: Duration = Duration::from_millis(20);

const MIB: f64 = 1024.0 * 1024.0;

/// Samples until it is asked.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    peaks: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    thread: JoinHandle<()>,
}

impl Watch {
    /// Watches a fleet's containers, and a process that is in a cgroup of its own from now on.
    pub(crate) fn start(fleet: &str, worker: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let peaks = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let mut sampler = Sampler { fleet: fleet.to_owned(), groups: BTreeMap::new(), peaks: peaks.clone() };
        let own = own_group(fleet, worker);
        sampler.groups.insert(own.clone(), Some("worker"));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                sampler.sample();
                thread::sleep(EVERY);
            }
        });
        Self { stop, peaks, thread }
    }

    /// The peaks so far, in MiB, by role: `worker`, `engine`, `postgres`; and begins anew.
    pub(crate) fn take(&self) -> BTreeMap<&'static str, f64> {
        let peaks = std::mem::take(&mut *self.peaks.lock().unwrap());
        peaks.into_iter().map(|(role, bytes)| (role, bytes as f64 / MIB)).collect()
    }

    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

struct Sampler {
    fleet: String,
    /// What each cgroup holds; nothing of ours where `None`.
    groups: BTreeMap<PathBuf, Option<&'static str>>,
    peaks: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl Sampler {
    fn sample(&mut self) {
        for (group, container) in containers() {
            if !self.groups.contains_key(&group) {
                let role = self.role(&container);
                self.groups.insert(group, role);
            }
        }
        for (group, role) in &self.groups {
            if let (Some(role), Some(bytes)) = (role, resident(group)) {
                let mut peaks = self.peaks.lock().unwrap();
                let peak = peaks.entry(role).or_default();
                *peak = bytes.max(*peak);
            }
        }
    }

    fn role(&self, container: &str) -> Option<&'static str> {
        let format = "{{index .Config.Labels \"uplift.fleet\"}} {{.Config.Image}}";
        let output = Command::new("docker").args(["inspect", "--format", format, container]).output().ok()?;
        let said = String::from_utf8(output.stdout).ok()?;
        let (fleet, image) = said.trim().split_once(' ')?;
        let role = if image.contains("/engine:") { "engine" } else { "postgres" };
        (fleet == self.fleet).then_some(role)
    }
}

/// The cgroups of all containers of this host: cgroup v1; v2 with the driver `cgroupfs`; v2 with `systemd`.
fn containers() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for parent in ["/sys/fs/cgroup/memory/docker", "/sys/fs/cgroup/docker", "/sys/fs/cgroup/system.slice"] {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let id = name.trim_start_matches("docker-").trim_end_matches(".scope");
            if id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                found.push((entry.path(), id.to_owned()));
            }
        }
    }
    found
}

/// Puts a process into a cgroup of its own.
fn own_group(name: &str, process: u32) -> PathBuf {
    let v1 = Path::new("/sys/fs/cgroup/memory");
    let parent = if v1.is_dir() { v1 } else { Path::new("/sys/fs/cgroup") };
    let group = parent.join(format!("uplift-bench-{name}"));
    fs::create_dir_all(&group).expect("make a cgroup: this benchmark wants root");
    fs::write(group.join("cgroup.procs"), process.to_string()).unwrap();
    group
}

/// Removes the cgroup of a process that has ended.
pub(crate) fn remove_group(name: &str) {
    for parent in ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"] {
        let _ = fs::remove_dir(Path::new(parent).join(format!("uplift-bench-{name}")));
    }
}

/// `None` where the cgroup is gone.
fn resident(group: &Path) -> Option<u64> {
    let stat = fs::read_to_string(group.join("memory.stat")).ok()?;
    // v1 names its sums over the whole tree `total_…`, and counts the kernel's share apart.
    let counted = ["total_rss", "total_shmem", "anon", "shmem", "kernel"];
    let v1 = stat.contains("total_rss ");
    let lines = stat.lines().filter_map(|line| line.split_once(' '));
    let of_user = lines
        .filter(|(name, _)| counted.contains(name) && (!v1 || name.starts_with("total_")))
        .filter_map(|(_, bytes)| bytes.parse::<u64>().ok())
        .sum::<u64>();
    let kernel = fs::read_to_string(group.join("memory.kmem.usage_in_bytes")).unwrap_or_default();
    Some(of_user + kernel.trim().parse::<u64>().unwrap_or(0))
}

/// The most that a process ever had in memory, its program and libraries included, in MiB: more than its cgroup is
/// charged, and a check of it.
pub(crate) fn high_water(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
