//! The Postgres container: started, seen to accept, and watched until its end.

use std::collections::HashMap;

use bollard::{
    Docker,
    container::{AttachContainerResults, LogOutput},
    models::{Mount, MountType, VolumeCreateRequest},
};
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{
    container::{self, Spec, Uid},
    files,
};
use crate::{
    Death, Label, Limits, SandboxError,
    job::Ended,
    postgres::{Lines, Postgres, State, Watch, accepting},
};

/// The exit code of the image's entrypoint where the disk budget is exceeded (ENOSPC).
const EXIT_OUT_OF_DISK: i64 = 28;

/// Where the socket is, in every container; libpq of Debian looks there by itself.
pub(super) const SOCKET_DIRECTORY: &str = "/run/postgresql";
const DATA_DIRECTORY: &str = "/var/lib/postgresql/data";

/// Makes the volumes, starts the container and waits until it accepts.
pub(super) async fn start(
    docker: &Docker,
    fleet: &str,
    label: &Label,
    image: String,
    limits: &Limits,
) -> Result<Postgres, SandboxError> {
    for volume in volumes(fleet, label).into_iter().chain(files::volumes(fleet, label)) {
        docker.create_volume(volume).await.map_err(SandboxError::docker("create a volume"))?;
    }
    let spec = spec(label, image, limits);
    let (id, attached) = container::launch(docker, fleet, label, spec).await?;
    let (states, state) = watch::channel(State::Starting);
    let watching = AbortOnDropHandle::new(tokio::spawn(follow(docker.clone(), id, attached, states)));
    accepting(state.clone()).await?;
    Ok(Postgres { watch: Watch(state), _watching: watching })
}

/// The data directory, and the socket's: a tmpfs, so that it can be filled by nobody and costs no disk.
fn volumes(fleet: &str, label: &Label) -> [VolumeCreateRequest; 2] {
    let volume = |what, options| VolumeCreateRequest {
        name: Some(label.name(what)),
        driver_opts: options,
        labels: Some(label.to_map(fleet)),
        ..Default::default()
    };
    let owner = Uid::POSTGRES.owns();
    let tmpfs = HashMap::from([
        ("type".into(), "tmpfs".into()),
        ("device".into(), "tmpfs".into()),
        ("o".into(), format!("size=1m,nr_inodes=64,mode=0755,noexec,nosuid,nodev,{owner}")),
    ]);
    [volume("data", None), volume("socket", Some(tmpfs))]
}

/// The socket's directory as a job sees it. Connecting to a socket needs no writable mount.
pub(super) fn socket_for_jobs(label: &Label) -> Mount {
    Mount { read_only: Some(true), ..mount(label, "socket", SOCKET_DIRECTORY) }
}

pub(super) fn mount(label: &Label, volume: &str, target: &str) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(label.name(volume)),
        target: Some(target.into()),
        ..Default::default()
    }
}

fn spec(label: &Label, image: String, limits: &Limits) -> Spec {
    Spec {
        name: label.name("postgres"),
        image,
        user: Uid::POSTGRES,
        entrypoint: Vec::new(),
        arguments: limits.postgres_settings(),
        env: vec![format!("UPLIFT_DISK_BYTES={}", limits.disk_bytes)],
        mounts: vec![mount(label, "data", DATA_DIRECTORY), mount(label, "socket", SOCKET_DIRECTORY)],
        memory: limits.postgres_memory(),
        cpus: limits.cpus,
        pids: limits.pids,
        stdin: false,
        init: false,
    }
}

/// Reads what the container says until it says no more, then waits for its end. An attach that breaks is no end.
async fn follow(
    docker: Docker,
    id: String,
    mut attached: AttachContainerResults,
    states: watch::Sender<State>,
) {
    let mut lines = Lines::default();
    while let Some(Ok(output)) = attached.output.next().await {
        // Only the entrypoint writes to stdout; Postgres writes to stderr.
        let speaks_protocol = matches!(output, LogOutput::StdOut { .. });
        for line in lines.push(output.as_ref()) {
            if !speaks_protocol {
                continue;
            }
            if line == "uplift: ready" {
                states.send_replace(State::Accepting);
            } else if line.starts_with("uplift: disk budget exceeded") {
                states.send_replace(State::Dead(Death::OutOfDisk));
            }
        }
    }
    let death = match container::ended(&docker, &id).await {
        Ok(Ended::Exited { code: EXIT_OUT_OF_DISK, .. }) => Death::OutOfDisk,
        Ok(Ended::Exited { out_of_memory: true, .. }) => Death::OutOfMemory,
        Ok(Ended::Exited { code, .. }) => Death::Exited { code, said: lines.tail() },
        Ok(Ended::Vanished) => Death::Vanished,
        Err(error) => Death::Unknown { why: error.to_string() },
    };
    states.send_replace(State::Dead(death));
}
