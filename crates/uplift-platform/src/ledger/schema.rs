//! The ledger's schema: who brings it up to date, and who waits until that is done.

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{PgPool, migrate::Migrator, postgres::PgPoolOptions};
use tokio::time::sleep;

use super::{Ledger, LedgerError};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How long to wait before an older schema is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// How often somebody is told what is waited for.
const REMINDER: Duration = Duration::from_secs(30);

impl Ledger {
    /// Connects and brings the schema up to date, which is the dispatcher's part; several may do so at once.
    ///
    /// # Errors
    /// The ledger is out of reach, or its schema is newer than this program.
    pub async fn migrate(url: &SecretString) -> Result<Self, LedgerError> {
        let pool = pool(url).await?;
        MIGRATIONS.run(&pool).await?;
        Ok(Self::of(pool))
    }

    /// Connects, and waits for as long as the schema is older than this program. A newer one will do: what a schema
    /// gains does not disturb those who do not know it.
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn connect(url: &SecretString) -> Result<Self, LedgerError> {
        let pool = pool(url).await?;
        let needed = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
        let mut reminded_at: Option<Instant> = None;
        loop {
            let found = version(&pool).await?;
            if found >= needed {
                return Ok(Self::of(pool));
            }
            if reminded_at.is_none_or(|at| at.elapsed() >= REMINDER) {
                reminded_at = Some(Instant::now());
                tracing::warn!(
                    schema.found = found,
                    schema.needed = needed,
                    "the ledger's schema is older than this program: waiting until a dispatcher of this version has \
                     started, which brings it up to date"
                );
            }
            sleep(AGAIN).await;
        }
    }
}

async fn pool(url: &SecretString) -> Result<PgPool, LedgerError> {
    let options = PgPoolOptions::new().max_connections(16).acquire_timeout(Duration::from_secs(5));
    Ok(options.connect(url.expose_secret()).await?)
}

/// The newest migration that the ledger has; 0 where nobody has begun.
async fn version(pool: &PgPool) -> Result<i64, LedgerError> {
    let begun: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(pool).await?;
    if !begun {
        return Ok(0);
    }
    let newest = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success");
    Ok(newest.fetch_one(pool).await?)
}
