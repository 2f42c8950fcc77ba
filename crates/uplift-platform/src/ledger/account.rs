//! Accounts and their tokens.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::{Row as _, postgres::PgRow};
use uplift_core::{AccountId, TokenId};
use uuid::Uuid;

use super::{Ledger, LedgerError};

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Its own account's requests.
    Customer,
    /// The same, but what it asks for counts in no figure of customers' upgrades: it is there to see that the way is free.
    Canary,
    /// Everybody's requests, to look at, and what is done about those that failed.
    Engineer,
    /// Everything.
    Operator,
}

impl Role {
    const ALL: [Self; 4] = [Self::Customer, Self::Canary, Self::Engineer, Self::Operator];

    /// Whether it sees what other accounts have.
    #[must_use]
    pub const fn is_staff(self) -> bool {
        matches!(self, Self::Engineer | Self::Operator)
    }

    /// The word used in the API and in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Canary => "canary",
            Self::Engineer => "engineer",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            format!("`{text}` is not a role: use `customer`, `canary`, `engineer` or `operator`")
        })
    }
}

/// Who a valid token speaks for.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// The token.
    pub token: TokenId,
    /// Its account.
    pub account: AccountId,
    /// The account's name.
    pub account_name: String,
    /// What it allows.
    pub role: Role,
    /// What it is for; of an engineer's, who it is.
    pub label: String,
}

impl Bearer {
    /// How the audit names it.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("{} {} ({}, token {})", self.role, self.account_name, self.label, self.token)
    }
}

/// A token just issued. The secret is known here and never again.
#[derive(Debug)]
pub struct IssuedToken {
    /// Its row.
    pub id: TokenId,
    /// What the bearer shows.
    pub secret: SecretString,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

impl Ledger {
    /// Issues a token for an account, which is made where it does not exist.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn issue_token(
        &self,
        account: &str,
        role: Role,
        label: &str,
        expires_at: DateTime<Utc>,
        actor: &str,
    ) -> Result<IssuedToken, LedgerError> {
        let secret = new_secret();
        let id = TokenId::new();
        let mut tx = self.pool.begin().await?;
        sqlx::query("INSERT INTO accounts (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
            .bind(AccountId::new().0)
            .bind(account)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO tokens (id, account_id, role, label, hash, expires_at)
             SELECT $1, id, $2, $3, $4, $5 FROM accounts WHERE name = $6",
        )
        .bind(id.0)
        .bind(role.as_str())
        .bind(label)
        .bind(hash(&secret))
        .bind(expires_at)
        .bind(account)
        .execute(&mut *tx)
        .await?;
        sqlx::query("INSERT INTO audit (actor, action, detail) VALUES ($1, 'issue_token', $2)")
            .bind(actor)
            .bind(serde_json::json!({ "token": id, "account": account, "role": role }))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(IssuedToken { id, secret, expires_at })
    }

    /// Ends a token now. Ending one that has ended is no error.
    ///
    /// # Errors
    /// No such token.
    pub async fn revoke_token(&self, id: TokenId, actor: &str) -> Result<(), LedgerError> {
        let revoked = sqlx::query(
            "WITH revoked AS (
                 UPDATE tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING id)
             INSERT INTO audit (actor, action, detail)
             SELECT $2, 'revoke_token', jsonb_build_object('token', id) FROM revoked",
        )
        .bind(id.0)
        .bind(actor)
        .execute(&self.pool)
        .await?;
        if revoked.rows_affected() == 0 { Err(LedgerError::NotFound("token")) } else { Ok(()) }
    }

    /// Who a secret speaks for; `None` where it is unknown, expired or revoked.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn bearer(&self, secret: &SecretString) -> Result<Option<Bearer>, LedgerError> {
        let row = sqlx::query(
            "SELECT t.id, t.role, t.label, a.id AS account_id, a.name
             FROM tokens t JOIN accounts a ON a.id = t.account_id
             WHERE t.hash = $1 AND t.revoked_at IS NULL AND t.expires_at > now()",
        )
        .bind(hash(secret))
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(bearer_of).transpose()
    }

    /// Whether a token still speaks for somebody: it has neither been revoked nor expired.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn token_is_valid(&self, id: TokenId) -> Result<bool, LedgerError> {
        let valid = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM tokens WHERE id = $1 AND revoked_at IS NULL AND expires_at > now())",
        )
        .bind(id.0)
        .fetch_one(&self.pool)
        .await?;
        Ok(valid)
    }

    /// The account of a name.
    ///
    /// # Errors
    /// No such account.
    pub async fn account(&self, name: &str) -> Result<AccountId, LedgerError> {
        sqlx::query_scalar("SELECT id FROM accounts WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await?
            .map(AccountId)
            .ok_or(LedgerError::NotFound("account"))
    }

    /// Sets how many requests of an account may run at once.
    ///
    /// # Errors
    /// No such account.
    pub async fn set_max_running(&self, account: &str, max_running: i32) -> Result<(), LedgerError> {
        let set = sqlx::query("UPDATE accounts SET max_running = $2 WHERE name = $1")
            .bind(account)
            .bind(max_running)
            .execute(&self.pool)
            .await?;
        if set.rows_affected() == 0 { Err(LedgerError::NotFound("account")) } else { Ok(()) }
    }
}

/// 256 bits of the operating system's randomness behind a prefix that scanners for leaked secrets can find.
pub(super) fn new_secret() -> SecretString {
    let bytes: [u8; 32] = rand::rng().random();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("uplift_{hex}").into()
}

/// The bearer of a token, by its row and its account's.
pub(super) fn bearer_of(row: &PgRow) -> Result<Bearer, LedgerError> {
    Ok(Bearer {
        token: TokenId(row.try_get("id")?),
        account: AccountId(row.try_get("account_id")?),
        account_name: row.try_get("name")?,
        role: row.try_get::<String, _>("role")?.parse().map_err(LedgerError::Unreadable)?,
        label: row.try_get("label")?,
    })
}

/// A fast hash is enough: the secret is random, so that nobody can guess it from a list.
pub(super) fn hash(secret: &SecretString) -> Vec<u8> {
    Sha256::digest(secret.expose_secret()).to_vec()
}

impl Ledger {
    /// A database of an account by its name, where there is one.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn database_of(&self, account: AccountId, name: &str) -> Result<Option<Uuid>, LedgerError> {
        let found = sqlx::query_scalar("SELECT id FROM databases WHERE account_id = $1 AND name = $2")
            .bind(account.0)
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        Ok(found)
    }
}

/// A database of an account, made where it does not exist.
pub(super) async fn database(
    connection: &mut sqlx::PgConnection,
    account: AccountId,
    name: &str,
) -> Result<Uuid, LedgerError> {
    // The update does nothing but make RETURNING answer for a row that is there already.
    let id = sqlx::query_scalar(
        "INSERT INTO databases (id, account_id, name) VALUES ($1, $2, $3)
         ON CONFLICT (account_id, name) DO UPDATE SET name = excluded.name RETURNING id",
    )
    .bind(Uuid::now_v7())
    .bind(account.0)
    .bind(name)
    .fetch_one(connection)
    .await?;
    Ok(id)
}
