//! The program against a server that fails on purpose: links that expire, connections that break in the middle of
//! a character, a log that stays open. What a real dispatcher and a real store do is tested with the whole fleet.

#![allow(clippy::unwrap_used, reason = "a test panics, and says why")]

mod server;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use server::{REQUEST, Script, Server};

/// Runs the program as a script would.
fn uplift(server: &Server, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_uplift"))
        .args(arguments)
        .env("UPLIFT_SERVER", server.url())
        .env("UPLIFT_TOKEN", "a-secret")
        .env_remove("UPLIFT_OPS_TOKEN")
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_owned()).unwrap()
}

const DUMP: &str = "-- a dump of 34 bytes, in 5 parts\n";

#[test]
fn an_upload_outlives_expired_links_and_broken_connections() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("shop.sql.gz");
    fs::write(&dump, DUMP).unwrap();
    let server = Server::start(Script { refuse_first_links: true, break_part: Some(3), ..Script::default() });

    let output = uplift(&server, &["--json", "test", "-t", "18.0", "--dump", dump.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{output:?}");
    let request: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(request["id"], REQUEST);
    assert!(!text(&output.stderr).contains("a-secret"));

    let seen = server.seen();
    assert_eq!(seen.wish["database"], "shop");
    assert_eq!(seen.wish["bytes"], DUMP.len());
    assert_eq!(seen.parts.values().flatten().copied().collect::<Vec<u8>>(), DUMP.as_bytes());
    assert_eq!(seen.completed["sha256"], server::sha256(DUMP.as_bytes()));
    let tags: Vec<&str> =
        seen.completed["parts"].as_array().unwrap().iter().filter_map(|part| part["etag"].as_str()).collect();
    assert_eq!(tags, ["\"tag-1\"", "\"tag-2\"", "\"tag-3\"", "\"tag-4\"", "\"tag-5\""]);
}

/// An archive of a customer's scripts.
fn archive(folder: &Path) -> (PathBuf, Vec<u8>) {
    let path = folder.join("our-scripts.tar");
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    archive.append_data(&mut header, "upgrade/sale/18.0.1.0/pre-one.py", &b"pass"[..]).unwrap();
    let bytes = archive.into_inner().unwrap();
    fs::write(&path, &bytes).unwrap();
    (path, bytes)
}

#[test]
fn scripts_outlive_expired_links_and_broken_connections() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("shop.sql.gz");
    fs::write(&dump, DUMP).unwrap();
    let (path, bytes) = archive(folder.path());
    let test = |server: &Server, scripts: &Path| {
        let [dump, scripts] = [&dump, scripts].map(|path| path.to_str().unwrap());
        uplift(server, &["test", "-t", "18.0", "--dump", dump, "--scripts", scripts])
    };

    let server = Server::start(Script { refuse_first_links: true, ..Script::default() });
    let output = test(&server, &path);
    assert_eq!(code(&output), 0, "{output:?}");
    let seen = server.seen();
    assert_eq!(seen.wish["scripts"], json!({ "bytes": bytes.len(), "sha256": server::sha256(&bytes) }));
    assert_eq!(seen.scripts.unwrap(), bytes);
    assert_eq!(seen.parts.len(), 5);

    // Nothing at all is sent with what is no archive.
    let server = Server::start(Script::default());
    let output = test(&server, &dump);
    assert_eq!(code(&output), 2, "{output:?}");
    assert!(text(&output.stderr).contains("shop.sql.gz is neither a zip nor a tar"), "{output:?}");
    assert_eq!(server.seen().wish, Value::Null);
}

#[test]
fn a_resumed_upload_asks_for_scripts_that_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("shop.sql");
    fs::write(&dump, DUMP).unwrap();
    let (path, bytes) = archive(folder.path());
    let named = Some(json!({ "bytes": bytes.len(), "sha256": server::sha256(&bytes) }));
    let resume = |script: Script, rest: &[&str]| {
        let server = Server::start(script);
        let arguments = ["resume", REQUEST, "--dump", dump.to_str().unwrap()];
        (uplift(&server, &[&arguments[..], rest].concat()), server.seen())
    };
    let scripts = ["--scripts", path.to_str().unwrap()];
    let missing = || Script { scripts: named.clone(), ..Script::default() };

    let (output, seen) = resume(missing(), &[]);
    assert_eq!(code(&output), 2, "{output:?}");
    assert!(text(&output.stderr).contains("are not there yet: add --scripts FILE"), "{output:?}");
    assert!(seen.parts.is_empty());
    let (output, seen) = resume(missing(), &scripts);
    assert_eq!((code(&output), seen.scripts.as_deref()), (0, Some(&bytes[..])), "{output:?}");

    // Once they are there, they need not be given, and are not sent again; but others are not taken for them.
    for rest in [&[][..], &scripts] {
        let (output, seen) = resume(Script { scripts_there: true, ..missing() }, rest);
        assert_eq!((code(&output), seen.scripts, seen.parts.len()), (0, None, 5), "{output:?}");
    }
    let other = Some(json!({ "bytes": bytes.len(), "sha256": "ab".repeat(32) }));
    let (output, _) = resume(Script { scripts: other, ..missing() }, &scripts);
    assert_eq!(code(&output), 2, "{output:?}");
    assert!(text(&output.stderr).contains("is not what request"), "{output:?}");
    let (output, _) = resume(Script { scripts_there: true, ..Script::default() }, &scripts);
    assert_eq!(code(&output), 2, "{output:?}");
    assert!(text(&output.stderr).contains("was handed in without scripts"), "{output:?}");
}

#[test]
fn a_resumed_upload_sends_only_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("shop.sql");
    fs::write(&dump, DUMP).unwrap();
    let server = Server::start(Script { there: vec![1, 2, 4], ..Script::default() });

    let output = uplift(&server, &["resume", REQUEST, "--dump", dump.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{output:?}");
    let seen = server.seen();
    assert_eq!(seen.parts.keys().copied().collect::<Vec<u32>>(), [3, 5]);
    assert_eq!(seen.completed["sha256"], server::sha256(DUMP.as_bytes()));
    assert_eq!(seen.completed["parts"].as_array().unwrap().len(), 5);
}

#[test]
fn a_log_is_followed_over_broken_connections_without_loss_or_repetition() {
    let server = Server::start(Script { end: Some("rejected"), ..Script::default() });
    let output = uplift(&server, &["--json", "log", "-f", REQUEST]);
    assert_eq!(code(&output), 10, "{output:?}");
    let lines: Vec<String> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(lines, server::LINES);
    assert_eq!(server.seen().resumed_at, ["", "1", "3"]);
}

#[test]
fn an_upgrade_that_needs_a_person_ends_the_wait_though_its_log_stays_open() {
    let server = Server::start(Script { state: "intervention", ..Script::default() });
    let output = uplift(&server, &["log", "-f", REQUEST]);
    assert_eq!(code(&output), 11, "{output:?}");
    assert!(text(&output.stdout).contains("Größe"), "{output:?}");
}

#[test]
fn a_wait_that_is_over_has_a_code_of_its_own() {
    let server = Server::start(Script { state: "running", ..Script::default() });
    let output = uplift(&server, &["log", "-f", "--timeout", "0", REQUEST]);
    assert_eq!(code(&output), 12, "{output:?}");
}

#[test]
fn a_download_goes_on_where_it_broke() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let server = Server::start(Script { state: "delivered", ..Script::default() });
    let output = uplift(&server, &["download", REQUEST, "--out", out]);
    assert_eq!(code(&output), 0, "{output:?}");
    assert_eq!(fs::read_to_string(folder.path().join("shop-18.0.sql")).unwrap(), server::RESULT);
    assert_eq!(server.seen().ranges, ["", "bytes=13-"]);

    // Nothing is overwritten unasked, and nothing is left beside it.
    assert_eq!(code(&uplift(&server, &["download", REQUEST, "--out", out])), 1);
    assert_eq!(code(&uplift(&server, &["download", REQUEST, "--out", out, "--force"])), 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_came_wrong_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Script { state: "delivered", wrong_hash: true, ..Script::default() });
    let output = uplift(&server, &["download", REQUEST, "--out", folder.path().to_str().unwrap()]);
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(text(&output.stderr).contains("error: check "), "{output:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
