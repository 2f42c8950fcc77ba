//! Sessions on the Postgres of the sandbox, through its socket.

use std::{
    thread,
    time::{Duration, Instant},
};

use postgres::{Client, Config, NoTls};

use crate::{
    events::Events,
    failure::{Outcome, infrastructure, ours},
};

/// Where the bootstrap role works. It opens a database with the customer's code in it for one thing only: see
/// [`Server::analyze_catalogs`].
pub const CONTROL: &str = "control";
/// The database that is upgraded.
pub const WORK: &str = "work";
/// The database as it was before a step.
pub const CHECKPOINT: &str = "checkpoint";
/// The database that the result is restored into.
pub const PROOF: &str = "proof";
/// What both are copied from.
pub const TEMPLATE: &str = "uplift";
/// The role that owns everything of the customer's.
pub const TENANT: &str = "tenant";
/// The superuser.
pub const BOOTSTRAP: &str = "bootstrap";

/// Those that are large in an ERP's database, and that `information_schema` and drivers look into.
const ANALYZE_CATALOGS: &str = "
    ANALYZE pg_catalog.pg_attrdef, pg_catalog.pg_attribute, pg_catalog.pg_class, pg_catalog.pg_constraint,
            pg_catalog.pg_depend, pg_catalog.pg_description, pg_catalog.pg_index, pg_catalog.pg_namespace,
            pg_catalog.pg_proc, pg_catalog.pg_sequence, pg_catalog.pg_trigger, pg_catalog.pg_type";

/// How long the server may take to answer after the sandbox says that it runs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server beside the engine.
#[derive(Clone)]
pub struct Server {
    directory: String,
    port: u16,
    events: Events,
}

/// What a session is for; it decides what stands in its startup packet, where the customer's code cannot
/// reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To restore or to dump: the dump says what it needs itself.
    Bare,
    /// To run a pack's scripts.
    Script,
    /// To ask what a pack asks, and to change nothing.
    Ask,
    /// To ask what the engine itself asks, for as long as it takes. No schema of the customer's is searched, so that
    /// no function or operator in it stands in for one of Postgres; see [`Use::options`].
    Own,
}

impl Use {
    /// With an empty search path, `pg_catalog` is still searched first, and alone: names that stand without a schema
    /// are Postgres's own. A cast between two of its types can be made by a superuser only.
    const fn options(self) -> &'static str {
        match self {
            Self::Bare => "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0",
            Self::Script => "-c search_path=public -c statement_timeout=0 -c client_min_messages=notice",
            Self::Ask => {
                "-c search_path=public -c default_transaction_read_only=on -c statement_timeout=1800000 \
                 -c client_min_messages=warning -c datestyle=ISO -c intervalstyle=postgres -c timezone=UTC \
                 -c extra_float_digits=1 -c bytea_output=hex -c row_security=off"
            }
            Self::Own => {
                "-c search_path= -c default_transaction_read_only=on -c statement_timeout=0 \
                 -c client_min_messages=warning -c datestyle=ISO -c intervalstyle=postgres -c timezone=UTC \
                 -c extra_float_digits=1 -c bytea_output=hex -c row_security=off"
            }
        }
    }
}

impl Server {
    /// As `PGHOST` and `PGPORT` say, with the sandbox's own as defaults.
    ///
    /// # Errors
    /// A port that is no number.
    pub fn from_env(events: Events) -> Outcome<Self> {
        let directory = std::env::var("PGHOST").unwrap_or_else(|_| "/run/postgresql".to_owned());
        let port = match std::env::var("PGPORT") {
            Ok(port) => port.parse().map_err(|_| infrastructure("connect", format!("PGPORT is `{port}`")))?,
            Err(_) => 5432,
        };
        Ok(Self { directory, port, events })
    }

    /// Where the events of this server's sessions go.
    #[must_use]
    pub const fn events(&self) -> &Events {
        &self.events
    }

    /// The directory of the server's socket.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// The port in the socket's name.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A session of the superuser, in its own database.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn bootstrap(&self) -> Outcome<Client> {
        self.open(BOOTSTRAP, CONTROL, "-c client_min_messages=warning")
    }

    /// A session of the customer's role.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn tenant(&self, database: &str, purpose: Use) -> Outcome<Client> {
        self.open(TENANT, database, purpose.options())
    }

    fn open(&self, role: &str, database: &str, options: &str) -> Outcome<Client> {
        let mut config = Config::new();
        config.host_path(&self.directory).port(self.port).user(role).dbname(database);
        config.application_name("uplift-engine").options(options);
        let events = self.events.clone();
        config.notice_callback(move |notice| events.notice(&notice));
        let began = Instant::now();
        loop {
            match config.connect(NoTls) {
                Ok(client) => return Ok(client),
                // A refused role or database will not come about by waiting; a starting server will.
                Err(error) if began.elapsed() > PATIENCE || !is_starting(&error) => {
                    return Err(ours("connect", &error));
                }
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Makes a database of the customer's, empty but for what the template holds. `place` is the stage.
    ///
    /// # Errors
    /// The server refuses.
    pub fn create_database(&self, name: &str, place: &str) -> Outcome<()> {
        let mut control = self.bootstrap()?;
        let statements = [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"),
            format!("GRANT CREATE, TEMPORARY ON DATABASE {name} TO {TENANT}"),
        ];
        for statement in statements {
            control.batch_execute(&statement).map_err(|error| ours(place, &error))?;
        }
        Ok(())
    }

    /// Collects statistics of the catalogs, which belong to the superuser. What asks `information_schema` again and again, as
    /// an ERP's update does, is many times slower without: a database with 218 tables took Tryton 270 s in place of 30.
    ///
    /// It is the one thing that the superuser does in a database of the customer's: the catalogs hold no code of his, and no
    /// setting of his reaches this session.
    ///
    /// # Errors
    /// The server refuses.
    pub fn analyze_catalogs(&self, database: &str, place: &str) -> Outcome<()> {
        let mut client = self.open(BOOTSTRAP, database, "-c search_path= -c client_min_messages=warning")?;
        client.batch_execute(ANALYZE_CATALOGS).map_err(|error| ours(place, &error))
    }

    /// Ends every session of others on a database, and waits until they are gone. `place` is the stage.
    ///
    /// # Errors
    /// The server refuses, or a session does not end.
    pub fn end_sessions(&self, database: &str, place: &str) -> Outcome<()> {
        let mut control = self.bootstrap()?;
        let ending =
            "SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity
                      WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid()";
        let began = Instant::now();
        loop {
            let row = control.query_one(ending, &[&database]).map_err(|error| ours(place, &error))?;
            if row.get::<_, i64>(0) == 0 {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(infrastructure(place, format!("a session on {database} does not end")));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Takes back what the customer's code may have set for later sessions of its role.
    ///
    /// # Errors
    /// The server refuses.
    pub fn reset_role(&self, database: &str) -> Outcome<()> {
        let statement =
            format!("ALTER ROLE {TENANT} RESET ALL; ALTER ROLE {TENANT} IN DATABASE {database} RESET ALL");
        self.bootstrap()?.batch_execute(&statement).map_err(|error| ours("connect", &error))
    }
}

/// Whether the server is not there yet: no socket, or it still recovers.
fn is_starting(error: &postgres::Error) -> bool {
    error.as_db_error().is_none_or(|db| db.code().code() == "57P03")
}
