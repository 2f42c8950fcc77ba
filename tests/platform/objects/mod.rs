//! The object store's client against real S3 servers.

mod customer;
mod keys;
mod reader;
mod writer;

use std::net::SocketAddr;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use uplift::standalone::store::Store;
use uplift_platform::objects::{Expect, Objects, ObjectsConfig, Reader};
use uplift_tests::{proxy::Proxy, services::variable};
use uuid::Uuid;

const MIB: usize = 1024 * 1024;

/// Makes a test of each function, for each server: the suite's Garage, and the one within `uplift standalone`.
macro_rules! on_both_servers {
    ($($test:ident),* $(,)?) => {
        mod garage {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::platform::objects::Server::garage()).await;
            })*
        }
        mod embedded {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::platform::objects::Server::embedded().await).await;
            })*
        }
    };
}
use on_both_servers;

/// A server, and what it needs to stay.
struct Server {
    config: ObjectsConfig,
    _embedded: Option<(Store, TempDir)>,
}

impl Server {
    /// As `cargo xtask test` set it up.
    fn garage() -> Self {
        let secret = |name| secrecy::SecretString::from(variable(name));
        let config = ObjectsConfig {
            endpoint: variable("UPLIFT_TEST_S3_ENDPOINT").parse().unwrap(),
            public_endpoint: None,
            region: variable("UPLIFT_TEST_S3_REGION"),
            bucket: variable("UPLIFT_TEST_S3_BUCKET"),
            access_key: secret("UPLIFT_TEST_S3_ACCESS_KEY"),
            secret_key: secret("UPLIFT_TEST_S3_SECRET_KEY"),
            prefix: String::new(),
            stall_seconds: 30,
            patience_seconds: 20,
            sets_cors: true,
        };
        Self { config, _embedded: None }
    }

    async fn embedded() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::start(directory.path(), 0, "key".into(), "secret".into()).await.unwrap();
        let config = ObjectsConfig { patience_seconds: 20, ..store.config() };
        Self { config, _embedded: Some((store, directory)) }
    }

    /// The store, seen through a proxy where one is given, under a prefix of its own.
    fn config(&self, proxy: Option<&Proxy>) -> ObjectsConfig {
        let direct = self.config.endpoint.clone();
        ObjectsConfig {
            endpoint: proxy.map_or(direct, |proxy| proxy.url().parse().unwrap()),
            prefix: format!("test-{}/", Uuid::now_v7()),
            ..self.config.clone()
        }
    }

    fn objects(&self) -> Objects {
        Objects::new(&self.config(None)).unwrap()
    }

    /// Where it listens, for a proxy to stand before it.
    fn address(&self) -> SocketAddr {
        self.config.endpoint.socket_addrs(|| None).unwrap()[0]
    }
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
