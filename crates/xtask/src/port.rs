//! Who listens on a port, so that a conflict names the process instead of "address in use".

use std::fs;

use anyhow::{Result, bail};

/// Fails if something listens on one of these ports, and says what.
pub(crate) fn ensure_free(service: &str, ports: &[u16]) -> Result<()> {
    for &port in ports {
        if let Some(socket) = listener(port) {
            let owner = owner(&socket).unwrap_or_else(|| "a process that /proc does not show".to_owned());
            bail!(
                "port {port} of {service} is taken by {owner}, which this state directory did not start: \
                 stop it, or run `cargo xtask down` with the UPLIFT_STATE_DIR that started it"
            );
        }
    }
    Ok(())
}

/// The inode of the socket that listens on a port, on any address.
fn listener(port: u16) -> Option<String> {
    let ending = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        text.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // 0A is LISTEN.
            let ours = fields.get(1)?.ends_with(&ending) && *fields.get(3)? == "0A";
            ours.then(|| (*fields.get(9)?).to_owned().into())?
        })
    })
}

/// The process that holds a socket.
fn owner(inode: &str) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let pid = process.file_name().to_string_lossy().into_owned();
        if pid.parse::<u32>().is_err() {
            // `self` and its like are the same processes by another name.
            continue;
        }
        let Ok(handles) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds =
            |link: fs::DirEntry| fs::read_link(link.path()).is_ok_and(|to| to.as_os_str() == &*wanted);
        if handles.flatten().any(holds) {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            // Enough to know it by: an Erlang node's goes on for a screen.
            let line: String = line.trim_end().chars().take(80).collect();
            return Some(format!("process {pid} ({line})"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::ensure_free;

    #[test]
    fn the_process_that_holds_a_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = ensure_free("garage", &[port]).unwrap_err().to_string();
        assert!(error.contains(&format!("process {} (", std::process::id())), "{error}");
        drop(listener);
        ensure_free("garage", &[port]).unwrap();
    }
}
