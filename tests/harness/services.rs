//! Where the services are: `cargo xtask test` starts them and says so in the environment.

use std::net::{SocketAddr, ToSocketAddrs as _};

/// A variable that has to be set.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run the tests with `cargo xtask test`, which starts the services and sets it"
        )
    })
}

/// The services as a fleet's configuration names them; a test may put something in between.
#[derive(Clone, Debug)]
pub struct Services {
    pub ledger: String,
    pub amqp: String,
    pub s3: String,
    /// The object store as customers reach it.
    pub public_s3: String,
    pub docker_socket: String,
}

impl Services {
    /// The real ones.
    pub fn real() -> Self {
        let docker = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
        Self {
            ledger: variable("UPLIFT_TEST_LEDGER_URL"),
            amqp: variable("UPLIFT_TEST_AMQP_URL"),
            s3: variable("UPLIFT_TEST_S3_ENDPOINT"),
            public_s3: variable("UPLIFT_TEST_S3_ENDPOINT"),
            docker_socket: docker.trim_start_matches("unix://").to_owned(),
        }
    }

    /// Where the ledger's Postgres listens, for a proxy to stand before it.
    pub fn ledger_address() -> SocketAddr {
        let ledger = variable("UPLIFT_TEST_LEDGER_URL");
        let (_, rest) = ledger.split_once('@').expect("a URL with a user");
        let (host, _) = rest.split_once('/').expect("a URL with a database");
        host.to_socket_addrs().unwrap().next().unwrap()
    }

    /// Where the object store listens, for a proxy to stand before it.
    pub fn s3_address() -> SocketAddr {
        let s3 = variable("UPLIFT_TEST_S3_ENDPOINT");
        let host = s3.trim_start_matches("http://").trim_end_matches('/');
        host.to_socket_addrs().unwrap().next().unwrap()
    }
}
