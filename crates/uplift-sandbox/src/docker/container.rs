//! One container, made as harmless as Docker can make it.

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    container::AttachContainerResults,
    models::{
        ContainerCreateBody, ContainerStateStatusEnum, HostConfig, HostConfigLogConfig, Mount,
        ResourcesUlimits,
    },
    query_parameters::{AttachContainerOptions, CreateContainerOptions, WaitContainerOptions},
};
use futures_util::StreamExt as _;
use tokio::time::{sleep, timeout};

use crate::{Label, SandboxError, error::status, job::Ended};

/// Who a container runs as. The numbers are part of the security, and stand in `docker/README.md` and in the
/// images too: Postgres lets [`Uid::ENGINE`] in as its superuser, and nobody else.
#[derive(Clone, Copy)]
pub(super) struct Uid(u32);

impl Uid {
    pub(super) const POSTGRES: Self = Self(7001);
    pub(super) const ENGINE: Self = Self(7002);
    pub(super) const RUNNER: Self = Self(7003);

    /// As mount options of a tmpfs that belongs to this user.
    pub(super) fn owns(self) -> String {
        format!("uid={0},gid={0}", self.0)
    }
}

/// What differs between the containers of a sandbox. All else is [`harmless`].
pub(super) struct Spec {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) user: Uid,
    /// Empty: the image's own.
    pub(super) entrypoint: Vec<String>,
    pub(super) arguments: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) mounts: Vec<Mount>,
    pub(super) memory: u64,
    pub(super) cpus: f64,
    pub(super) pids: i64,
    /// Whether there is a stdin, which then ends once.
    pub(super) stdin: bool,
    /// Whether a small init is process 1, for images whose processes leave orphans.
    pub(super) init: bool,
}

/// Creates a container, attaches to it, and only then starts it, so that no byte of output is missed.
///
/// # Errors
///
/// [`SandboxError::ImageMissing`], or what Docker says.
pub(super) async fn launch(
    docker: &Docker,
    fleet: &str,
    label: &Label,
    spec: Spec,
) -> Result<(String, AttachContainerResults), SandboxError> {
    let (stdin, image) = (spec.stdin, spec.image.clone());
    let name = CreateContainerOptions { name: Some(spec.name.clone()), ..Default::default() };
    let created = docker.create_container(Some(name), body(fleet, label, spec)).await;
    let id = match created {
        Ok(created) => created.id,
        Err(error) if status(&error) == Some(404) => return Err(SandboxError::ImageMissing { image }),
        Err(error) => return Err(SandboxError::docker("create a container")(error)),
    };
    let all =
        AttachContainerOptions { stream: true, stdin, stdout: true, stderr: true, ..Default::default() };
    let attached = docker
        .attach_container(&id, Some(all))
        .await
        .map_err(SandboxError::docker("attach to a container"))?;
    docker.start_container(&id, None).await.map_err(SandboxError::docker("start a container"))?;
    Ok((id, attached))
}

fn body(fleet: &str, label: &Label, spec: Spec) -> ContainerCreateBody {
    ContainerCreateBody {
        host_config: Some(harmless(&spec)),
        image: Some(spec.image),
        user: Some(format!("{0}:{0}", spec.user.0)),
        // Nothing but a loopback of its own, as with the network `none`, whose setting up takes a quarter of a start's time.
        network_disabled: Some(true),
        entrypoint: (!spec.entrypoint.is_empty()).then_some(spec.entrypoint),
        cmd: (!spec.arguments.is_empty()).then_some(spec.arguments),
        env: Some(spec.env),
        labels: Some(label.to_map(fleet)),
        attach_stdin: Some(spec.stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(spec.stdin),
        stdin_once: Some(spec.stdin),
        ..Default::default()
    }
}

/// No network, no capability, no way to gain one, nothing to write but `/tmp` and what is mounted, and an end to
/// everything that it can take. Seccomp is Docker's default profile.
fn harmless(spec: &Spec) -> HostConfig {
    let memory = Some(saturating(spec.memory));
    HostConfig {
        network_mode: Some("none".into()),
        ipc_mode: Some("private".into()),
        cap_drop: Some(vec!["ALL".into()]),
        security_opt: Some(vec!["no-new-privileges".into()]),
        readonly_rootfs: Some(true),
        memory,
        // The same number means: no swap.
        memory_swap: memory,
        // Parallel queries keep their hash tables there, and Docker's default of 64 MiB fails them.
        shm_size: Some(saturating(spec.memory / 2)),
        nano_cpus: Some(nano(spec.cpus)),
        pids_limit: Some(spec.pids),
        ulimits: Some(vec![ulimit("nofile", 8192), ulimit("core", 0)]),
        tmpfs: Some(HashMap::from([("/tmp".into(), tmpfs(spec.memory / 4))])),
        // The default writes every byte of stdout to a file of the host.
        log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
        mounts: Some(spec.mounts.clone()),
        init: Some(spec.init),
        auto_remove: Some(false),
        ..Default::default()
    }
}

fn tmpfs(bytes: u64) -> String {
    format!("rw,noexec,nosuid,nodev,mode=1777,nr_inodes=65536,size={bytes}")
}

fn ulimit(name: &str, value: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.into()), soft: Some(value), hard: Some(value) }
}

fn saturating(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Docker's unit of processors; a float cast saturates, and Docker refuses more than the host has.
#[expect(clippy::cast_possible_truncation, reason = "nobody notices a part of a billionth of a processor")]
fn nano(cpus: f64) -> i64 {
    (cpus * 1e9) as i64
}

/// How often in a row Docker may fail to say what a container does before that is an error; with the pauses in
/// between, some 30 seconds, which is a restart of the daemon.
const PATIENCE: u32 = 30;

/// Waits until a container has ended. It asks for the state, again and again, and only in between waits to be
/// told: a lost message loses nothing.
pub(super) async fn ended(docker: &Docker, id: &str) -> Result<Ended, SandboxError> {
    let mut failures = 0;
    loop {
        match docker.inspect_container(id, None).await {
            Ok(found) => {
                failures = 0;
                let state = found.state.unwrap_or_default();
                if matches!(
                    state.status,
                    Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD)
                ) {
                    return Ok(Ended::Exited {
                        code: state.exit_code.unwrap_or(-1),
                        out_of_memory: state.oom_killed.unwrap_or(false),
                    });
                }
            }
            Err(error) if status(&error) == Some(404) => return Ok(Ended::Vanished),
            Err(error) if failures >= PATIENCE => {
                return Err(SandboxError::docker("inspect a container")(error));
            }
            Err(_) => failures += 1,
        }
        let until = WaitContainerOptions { condition: "not-running".into() };
        let told = timeout(Duration::from_secs(30), docker.wait_container(id, Some(until)).next()).await;
        // An answer comes with the end of the container, in which case the next look finds it; an error may come
        // at once, and again.
        if !matches!(told, Ok(Some(Ok(_)))) {
            sleep(Duration::from_millis(if failures == 0 { 20 } else { 1000 })).await;
        }
    }
}

/// Kills a container; one that has ended, or is gone, is fine.
pub(super) async fn kill(docker: &Docker, id: &str) -> Result<(), SandboxError> {
    match docker.kill_container(id, None).await {
        Err(error) if !matches!(status(&error), Some(404 | 409)) => {
            Err(SandboxError::docker("kill a container")(error))
        }
        _ => Ok(()),
    }
}
