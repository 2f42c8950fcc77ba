//! What only someone may do who knows that nobody else works on the ledger.

use sqlx::Row as _;
use uplift_core::{Epoch, Failure, RequestId};

use super::{
    Ledger, LedgerError, Settlement,
    settle::{Held, finish},
};

impl Ledger {
    /// Gives back every request that runs, and forgets every worker and every hint: whoever held them is dead. It is
    /// not the requests' fault, so nothing is counted, and they can be claimed at once.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn give_back_all(&self, reason: &str) -> Result<Vec<RequestId>, LedgerError> {
        let mut tx = self.pool.begin().await?;
        let running =
            sqlx::query("SELECT id, epoch FROM requests WHERE state = 'running' ORDER BY id FOR UPDATE")
                .fetch_all(&mut *tx)
                .await?;
        let mut given_back = Vec::with_capacity(running.len());
        for row in running {
            let held = Held {
                request: RequestId(row.try_get("id")?),
                epoch: Epoch(row.try_get("epoch")?),
                actor: "standalone".into(),
            };
            let released = Settlement::Failed(Failure::Released { reason: reason.to_owned() });
            finish(&mut tx, &held, &released).await?;
            given_back.push(held.request);
        }
        sqlx::query("DELETE FROM workers").execute(&mut *tx).await?;
        sqlx::query("UPDATE requests SET hinted_at = NULL WHERE state = 'queued'").execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(given_back)
    }
}
