//! Who is logged in to the pages.

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::Row as _;

use super::{
    Bearer, Ledger, LedgerError,
    account::{bearer_of, hash, new_secret},
};

/// How long a login lasts, in seconds: a working day.
const LASTS: f64 = 12.0 * 3600.0;

/// How long it lasts while nothing is done, in seconds.
const IDLE: f64 = 2.0 * 3600.0;

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub struct Login {
    /// By which token.
    pub bearer: Bearer,
    /// What their forms carry.
    pub csrf: String,
}

impl Ledger {
    /// Logs the bearer of a token in; gives the cookie. `None` where the token is unknown, expired or revoked.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn log_in(&self, token: &SecretString) -> Result<Option<SecretString>, LedgerError> {
        let Some(bearer) = self.bearer(token).await? else { return Ok(None) };
        let cookie = new_secret();
        sqlx::query(
            "WITH login AS (
                 INSERT INTO web_sessions (hash, token_id, csrf, expires_at)
                 SELECT $1, id, $3, least(expires_at, now() + make_interval(secs => $4)) FROM tokens WHERE id = $2)
             INSERT INTO audit (actor, action) VALUES ($5, 'log_in')",
        )
        .bind(hash(&cookie))
        .bind(bearer.token.0)
        .bind(new_secret().expose_secret())
        .bind(LASTS)
        .bind(bearer.actor())
        .execute(&self.pool)
        .await?;
        Ok(Some(cookie))
    }

    /// Who a cookie belongs to; `None` where it is unknown or over, or its token is. What a page asks by itself does not
    /// count as something done.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn login(&self, cookie: &SecretString, by_itself: bool) -> Result<Option<Login>, LedgerError> {
        let row = sqlx::query(
            "UPDATE web_sessions w SET seen_at = CASE WHEN $3 THEN seen_at ELSE now() END
             FROM tokens t JOIN accounts a ON a.id = t.account_id
             WHERE w.hash = $1 AND t.id = w.token_id AND t.revoked_at IS NULL AND t.expires_at > now()
               AND w.expires_at > now() AND w.seen_at > now() - make_interval(secs => $2)
             RETURNING t.id, t.role, t.label, a.id AS account_id, a.name, w.csrf",
        )
        .bind(hash(cookie))
        .bind(IDLE)
        .bind(by_itself)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok(Login { bearer: bearer_of(&row)?, csrf: row.try_get("csrf")? })).transpose()
    }

    /// Ends a login; one that is over is fine.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn log_out(&self, cookie: &SecretString) -> Result<(), LedgerError> {
        sqlx::query("DELETE FROM web_sessions WHERE hash = $1")
            .bind(hash(cookie))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets logins that are over.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn forget_logins(&self) -> Result<(), LedgerError> {
        sqlx::query(
            "DELETE FROM web_sessions WHERE expires_at < now() OR seen_at < now() - make_interval(secs => $1)",
        )
        .bind(IDLE)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
