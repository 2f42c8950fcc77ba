//! The volumes with a runner's files: what it reads, and where it writes.
//!
//! Their owners are those of the folders in the engine's image, which is the first to mount them.

use std::collections::HashMap;

use bollard::models::{Mount, VolumeCreateRequest};

use super::postgres::mount;
use crate::Label;

/// Where a pack's files and a customer's scripts lie.
pub(super) const STAGE: &str = "/uplift";
/// Where runners write, and where a filestore lies.
pub(super) const SCRATCH: &str = "/scratch";

/// Both, for a sandbox that has a Postgres.
pub(super) fn volumes(fleet: &str, label: &Label) -> [VolumeCreateRequest; 2] {
    ["stage", "scratch"].map(|what| VolumeCreateRequest {
        name: Some(label.name(what)),
        driver_opts: Some(HashMap::new()),
        labels: Some(label.to_map(fleet)),
        ..Default::default()
    })
}

pub(super) fn stage(label: &Label, read_only: bool) -> Mount {
    Mount { read_only: Some(read_only), ..mount(label, "stage", STAGE) }
}

pub(super) fn scratch(label: &Label, read_only: bool) -> Mount {
    Mount { read_only: Some(read_only), ..mount(label, "scratch", SCRATCH) }
}
