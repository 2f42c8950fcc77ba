//! Databases of a test's own on the suite's Postgres, and the tools to fill and read them.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::services::variable;

/// A fresh database; dropped at its end.
pub struct Database {
    pub name: String,
    admin: String,
}

impl Database {
    /// Makes it.
    pub async fn create(purpose: &str) -> Self {
        let admin = variable("UPLIFT_TEST_LEDGER_URL");
        let name = format!("{purpose}_{}", Uuid::now_v7().simple());
        let mut connection = PgConnection::connect(&admin).await.expect("reach the suite's Postgres");
        let sql = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        Self { name, admin }
    }

    /// One that somebody else has made.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), admin: variable("UPLIFT_TEST_LEDGER_URL") }
    }

    /// Another database with the same in it. Nobody may be connected to this one.
    pub async fn copy(&self) -> Self {
        let name = format!("copy_{}", Uuid::now_v7().simple());
        let mut connection = PgConnection::connect(&self.admin).await.unwrap();
        let sql = format!("CREATE DATABASE {name} TEMPLATE {}", self.name);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        Self { name, admin: self.admin.clone() }
    }

    /// How to connect.
    pub fn url(&self) -> String {
        let (server, _) = self.admin.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{}", self.name)
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// One value, as text.
    pub async fn value(&self, sql: &str) -> String {
        let sql = format!("SELECT ({sql})::text");
        let mut connection = self.connect().await;
        let value: Option<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
        value.unwrap_or_default()
    }

    /// Runs a script with psql; the variables are psql's.
    pub fn psql_file(&self, file: &Path, variables: &[(&str, &str)]) {
        let mut command = self.psql();
        for (name, value) in variables {
            command.arg("-v").arg(format!("{name}={value}"));
        }
        check(command.arg("-f").arg(file), "psql");
    }

    /// Runs a statement with psql.
    pub fn psql_command(&self, sql: &str) {
        check(self.psql().args(["-c", sql]), "psql");
    }

    /// Restores a plain dump, gzipped or not, as a person would.
    pub fn restore(&self, dump: &Path) {
        let mut unpack = match dump.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Command::new("zcat"),
            Some("dump") => {
                let mut archive = Command::new(tool("pg_restore"));
                archive.args(["--no-owner", "--no-privileges", "--file=-"]);
                archive
            }
            _ => Command::new("cat"),
        };
        let mut unpack = unpack.arg(dump).stdout(Stdio::piped()).spawn().unwrap();
        check(self.psql().stdin(unpack.stdout.take().unwrap()), "psql");
        assert!(unpack.wait().unwrap().success(), "unpack {}", dump.display());
    }

    /// Dumps it as customers do; gzipped where the name says so.
    pub fn dump(&self, to: &Path) {
        let mut dump = Command::new(tool("pg_dump"));
        dump.args(["--no-owner", "--no-privileges", "-d", &self.url()]);
        if to.extension().is_some_and(|extension| extension == "gz") {
            dump.args(["-Z", "6"]);
        }
        check(dump.stdout(File::create(to).unwrap()), "pg_dump");
    }

    fn psql(&self) -> Command {
        let mut command = Command::new(tool("psql"));
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &self.url()]);
        command
    }

    /// Drops it.
    pub async fn remove(self) {
        let mut connection = PgConnection::connect(&self.admin).await.unwrap();
        let sql = format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
}

/// A program of the suite's Postgres.
pub fn tool(name: &str) -> PathBuf {
    PathBuf::from(variable("UPLIFT_TEST_PG_BIN")).join(name)
}

fn check(command: &mut Command, what: &str) {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}
