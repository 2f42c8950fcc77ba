//! Garage, a real S3 server, as a single node with one key and one bucket.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Service, Started};
use crate::daemon::{Stop, detached};
use crate::env::Env;
use crate::http;
use crate::layout::{Layout, ports};
use crate::tools;

pub(super) const NAME: &str = "garage";

const LIMIT: Duration = Duration::from_secs(60);
const REGION: &str = "garage";
const BUCKET: &str = "uplift";
const ACCESS_KEY: &str = "uplift-local";
const SECRET_KEY: &str = "uplift-local-secret";

pub(super) fn ensure(layout: &Layout, started: &mut Started) -> Result<String> {
    let service =
        Service { name: NAME, ports: &[ports::S3, ports::GARAGE_RPC], stop: Stop::Term, limit: LIMIT };
    let how = service
        .ensure(layout, started, answers, || prepare(layout))
        .context("start Garage; its settings are in garage/ below UPLIFT_STATE_DIR")?;
    Ok(format!("{how} on 127.0.0.1:{}, bucket {BUCKET}", ports::S3))
}

pub(super) fn export(env: &mut Env) {
    env.set("UPLIFT_TEST_S3_ENDPOINT", format!("http://127.0.0.1:{}", ports::S3));
    env.set("UPLIFT_TEST_S3_REGION", REGION.to_owned());
    env.set("UPLIFT_TEST_S3_BUCKET", BUCKET.to_owned());
    env.set("UPLIFT_TEST_S3_ACCESS_KEY", ACCESS_KEY.to_owned());
    env.set("UPLIFT_TEST_S3_SECRET_KEY", SECRET_KEY.to_owned());
}

fn prepare(layout: &Layout) -> Result<Command> {
    let home = layout.state.join("garage");
    fs::create_dir_all(&home).with_context(|| format!("create {}", home.display()))?;
    let below = |name: &str| home.join(name).display().to_string();
    let config = home.join("garage.toml");
    let text = format!(
        "# Written by `cargo xtask`; a change here is overwritten.\n\
         metadata_dir = {meta:?}\n\
         data_dir = {data:?}\n\
         db_engine = \"lmdb\"\n\
         replication_factor = 1\n\
         compression_level = \"none\"\n\
         disable_scrub = true\n\
         rpc_bind_addr = \"127.0.0.1:{rpc}\"\n\
         rpc_public_addr = \"127.0.0.1:{rpc}\"\n\
         rpc_secret = \"{secret}\"\n\
         \n\
         [s3_api]\n\
         s3_region = \"{REGION}\"\n\
         api_bind_addr = \"127.0.0.1:{s3}\"\n",
        meta = below("meta"),
        data = below("data"),
        rpc = ports::GARAGE_RPC,
        s3 = ports::S3,
        // Only this machine's loopback reaches the port; Garage wants 32 bytes.
        secret = "5a".repeat(32),
    );
    fs::write(&config, text).context("write garage.toml")?;
    let (program, _) = tools::garage(layout)?;
    let mut command = detached(program);
    command
        .arg("-c")
        .arg(&config)
        .args(["server", "--single-node", "--default-bucket"])
        .env("GARAGE_DEFAULT_ACCESS_KEY", ACCESS_KEY)
        .env("GARAGE_DEFAULT_SECRET_KEY", SECRET_KEY)
        .env("GARAGE_DEFAULT_BUCKET", BUCKET);
    Ok(command)
}

/// Whether the S3 API answers. It opens only after the key and the bucket exist, so any HTTP answer will do.
fn answers() -> bool {
    http::status(ports::S3, "/").is_some()
}
