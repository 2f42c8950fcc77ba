//! A private RabbitMQ node with its own port mapper, so that a node of the machine's own is not touched.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Service, Started};
use crate::daemon::{Stop, detached};
use crate::env::Env;
use crate::layout::{Layout, ports};
use crate::user::{self, User};

pub(super) const NAME: &str = "rabbitmq";
pub(super) const EPMD: &str = "epmd";

const SBIN: &str = "/usr/lib/rabbitmq/bin";

/// A node on two busy cores takes ten seconds to start; its first start creates its database as well.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) fn ensure(layout: &Layout, started: &mut Started) -> Result<String> {
    let user = User::for_service("rabbitmq")?;
    // The node would start a port mapper by itself, and leave it behind for ever.
    let epmd =
        Service { name: EPMD, ports: &[ports::EPMD], stop: Stop::Term, limit: Duration::from_secs(10) };
    epmd.ensure(
        layout,
        started,
        || connects(ports::EPMD),
        || {
            let mut command = detached("epmd");
            command.args(["-address", "127.0.0.1", "-port", &ports::EPMD.to_string()]);
            user::run_as(&mut command, user);
            Ok(command)
        },
    )?;
    let node =
        Service { name: NAME, ports: &[ports::AMQP, ports::RABBITMQ_DIST], stop: Stop::Term, limit: LIMIT };
    let how = node
        .ensure(layout, started, greets, || prepare(layout, user))
        .context("start RabbitMQ; its settings are in rabbitmq/ below UPLIFT_STATE_DIR")?;
    Ok(format!("{how} on 127.0.0.1:{}", ports::AMQP))
}

pub(super) fn export(layout: &Layout, env: &mut Env) {
    env.set("UPLIFT_TEST_AMQP_URL", format!("amqp://uplift:uplift@127.0.0.1:{}/%2f", ports::AMQP));
    env.set("UPLIFT_TEST_RABBITMQCTL", home(layout).join("rabbitmqctl").display().to_string());
}

fn home(layout: &Layout) -> PathBuf {
    layout.state.join("rabbitmq")
}

/// Writes the node's settings and its `rabbitmqctl`, and makes the command that runs it in the foreground.
fn prepare(layout: &Layout, user: Option<User>) -> Result<Command> {
    let home = home(layout);
    for dir in [home.clone(), home.join("mnesia"), home.join("log")] {
        user::own_dir(&dir, user)?;
    }
    let settings = format!(
        "# Written by `cargo xtask`; a change here is overwritten.\n\
         listeners.tcp.1 = 127.0.0.1:{}\n\
         default_user = uplift\n\
         default_pass = uplift\n\
         vm_memory_high_watermark.absolute = 1GB\n\
         disk_free_limit.absolute = 100MB\n",
        ports::AMQP
    );
    fs::write(home.join("rabbitmq.conf"), settings).context("write rabbitmq.conf")?;
    // Both are there so that the machine's own files in /etc/rabbitmq are not read.
    fs::write(home.join("rabbitmq-env.conf"), "").context("write rabbitmq-env.conf")?;
    fs::write(home.join("enabled_plugins"), "[].\n").context("write enabled_plugins")?;

    let variables = variables(layout);
    let exports: String =
        variables.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    let ctl = home.join("rabbitmqctl");
    fs::write(&ctl, format!("#!/bin/sh\n{exports}exec {SBIN}/rabbitmqctl \"$@\"\n"))
        .and_then(|()| fs::set_permissions(&ctl, fs::Permissions::from_mode(0o755)))
        .context("write rabbitmqctl")?;

    let mut command = detached(format!("{SBIN}/rabbitmq-server"));
    // As under systemd, the script becomes the node: a shell in between could end without it.
    command.envs(variables).env("RUNNING_UNDER_SYSTEMD", "true");
    user::run_as(&mut command, user);
    Ok(command)
}

fn variables(layout: &Layout) -> Vec<(&'static str, String)> {
    let home = home(layout);
    let below = |name: &str| home.join(name).display().to_string();
    vec![
        ("HOME", home.display().to_string()),
        ("ERL_EPMD_PORT", ports::EPMD.to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_NODENAME", "uplift@localhost".to_owned()),
        ("RABBITMQ_DIST_PORT", ports::RABBITMQ_DIST.to_string()),
        ("RABBITMQ_CONF_ENV_FILE", below("rabbitmq-env.conf")),
        ("RABBITMQ_CONFIG_FILE", below("rabbitmq")),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", below("advanced")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", below("enabled_plugins")),
        ("RABBITMQ_MNESIA_BASE", below("mnesia")),
        ("RABBITMQ_LOG_BASE", below("log")),
        ("RABBITMQ_LOGS", "-".to_owned()),
        // Its schedulers spin while they wait, on processors that others want.
        ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+sbwt none +sbwtdcpu none +sbwtdio none".to_owned()),
    ]
}

fn connects(port: u16) -> bool {
    dial(port).is_some()
}

/// Whether the broker answers the protocol's greeting: the port opens before the node accepts anyone.
fn greets() -> bool {
    let Some(mut stream) = dial(ports::AMQP) else { return false };
    let mut kind = [0_u8];
    // A method frame (type 1) holds `connection.start`.
    stream.write_all(b"AMQP\x00\x00\x09\x01").is_ok() && stream.read_exact(&mut kind).is_ok() && kind == [1]
}

fn dial(port: u16) -> Option<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    Some(stream)
}
