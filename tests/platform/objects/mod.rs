//! The object store's client against a real S3 server.

mod customer;
mod keys;
mod reader;
mod writer;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use uplift_platform::objects::{Expect, Objects, ObjectsConfig, Reader};
use uplift_tests::{proxy::Proxy, services::variable};
use uuid::Uuid;

const MIB: usize = 1024 * 1024;

/// The store as `cargo xtask test` set it up, seen through a proxy where one is given, under a prefix of its own.
fn config(proxy: Option<&Proxy>) -> ObjectsConfig {
    let secret = |name| secrecy::SecretString::from(variable(name));
    let direct = variable("UPLIFT_TEST_S3_ENDPOINT");
    let endpoint = proxy.map_or(direct, Proxy::url);
    ObjectsConfig {
        endpoint: endpoint.parse().unwrap(),
        public_endpoint: None,
        region: variable("UPLIFT_TEST_S3_REGION"),
        bucket: variable("UPLIFT_TEST_S3_BUCKET"),
        access_key: secret("UPLIFT_TEST_S3_ACCESS_KEY"),
        secret_key: secret("UPLIFT_TEST_S3_SECRET_KEY"),
        prefix: format!("test-{}/", Uuid::now_v7()),
        stall_seconds: 30,
        patience_seconds: 20,
    }
}

fn objects() -> Objects {
    Objects::new(&config(None)).unwrap()
}

/// Bytes that differ from place to place, so that a part in the wrong place is noticed.
fn noise(length: usize) -> Bytes {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Reads to the end; returns what was read.
async fn read_all(reader: &mut Reader) -> uplift_platform::objects::Result<Vec<u8>> {
    let mut whole = Vec::new();
    while let Some(chunk) = reader.next().await? {
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

fn length(bytes: usize) -> Expect {
    Expect { bytes: bytes as u64, ..Expect::default() }
}
