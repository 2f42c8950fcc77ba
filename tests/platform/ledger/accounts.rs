//! Accounts, tokens, workers and packs.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use uplift_core::{Clock, TokenId, WorkerId};
use uplift_platform::ledger::{LedgerError, Role, WorkerState};

use super::desk::{Desk, with_desk};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_token_speaks_for_its_account_and_role() {
    with_desk(async |desk| {
        let expires = Clock::System.now() + HOUR;
        for role in [Role::Customer, Role::Operator] {
            let issued = desk.ledger.issue_token("Ämter", role, "laptop", expires, "tests").await.unwrap();
            let bearer = desk.ledger.bearer(&issued.secret).await.unwrap().unwrap();
            assert_eq!((bearer.token, bearer.role), (issued.id, role));
            assert_eq!(bearer.account_name, "Ämter");
            assert_eq!(bearer.account, desk.ledger.account("Ämter").await.unwrap(), "one account of a name");
        }
        assert!(matches!(desk.ledger.account("nobody").await, Err(LedgerError::NotFound("account"))));
    })
    .await;
}

#[tokio::test]
async fn a_token_ends_when_it_expires_or_is_revoked() {
    with_desk(async |desk| {
        let now = Clock::System.now();
        let expired =
            desk.ledger.issue_token("acme", Role::Customer, "old", now - HOUR, "tests").await.unwrap();
        assert!(desk.ledger.bearer(&expired.secret).await.unwrap().is_none());

        let other = desk.ledger.issue_token("acme", Role::Customer, "b", now + HOUR, "tests").await.unwrap();
        let issued = desk.ledger.issue_token("acme", Role::Customer, "a", now + HOUR, "tests").await.unwrap();
        assert!(desk.ledger.bearer(&issued.secret).await.unwrap().is_some());
        // Revoking what is revoked is no error, so that a person may repeat it.
        for _ in 0..2 {
            desk.ledger.revoke_token(issued.id, "tests").await.unwrap();
            assert!(desk.ledger.bearer(&issued.secret).await.unwrap().is_none());
        }
        assert!(desk.ledger.bearer(&other.secret).await.unwrap().is_some(), "only the one that was meant");

        assert!(desk.ledger.bearer(&"uplift_0".into()).await.unwrap().is_none());
        let unknown = desk.ledger.revoke_token(TokenId::new(), "tests").await;
        assert!(matches!(unknown, Err(LedgerError::NotFound("token"))));
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_written_nowhere() {
    with_desk(async |desk| {
        let expires = Clock::System.now() + HOUR;
        let issued = desk.ledger.issue_token("acme", Role::Operator, "a", expires, "tests").await.unwrap();
        let written: String = sqlx::query_scalar(
            "SELECT (SELECT string_agg(t::text, '') FROM tokens t) || (SELECT string_agg(a::text, '') FROM audit a)",
        )
        .fetch_one(&desk.pool)
        .await
        .unwrap();
        assert!(written.contains(&issued.id.to_string()));
        let secret = issued.secret.expose_secret();
        let (_, random) = secret.split_once('_').unwrap();
        assert!(!written.contains(random));
        // A bytea is shown in hexadecimal, so the secret itself would be as well.
        let in_hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!written.contains(&in_hex));
    })
    .await;
}

#[tokio::test]
async fn workers_come_and_go() {
    with_desk(async |desk| {
        let worker = |busy| WorkerState {
            id: WorkerId(uuid::Uuid::from_u128(1)),
            host: "host".into(),
            version: "0.1.0".into(),
            slots: 2,
            busy,
            draining: busy == 2,
        };
        desk.ledger.heartbeat(&worker(0)).await.unwrap();
        desk.ledger.heartbeat(&worker(2)).await.unwrap();
        let workers = desk.ledger.workers().await.unwrap();
        assert_eq!(workers.len(), 1);
        assert!(workers[0].alive && workers[0].state.draining && workers[0].state.busy == 2);

        seen(desk, "61 seconds").await;
        assert!(!desk.ledger.workers().await.unwrap()[0].alive);
        assert_eq!(desk.ledger.forget_workers(Duration::from_secs(600)).await.unwrap(), 0);
        seen(desk, "601 seconds").await;
        assert_eq!(desk.ledger.forget_workers(Duration::from_secs(600)).await.unwrap(), 1);

        desk.ledger.heartbeat(&worker(1)).await.unwrap();
        desk.ledger.goodbye(worker(0).id).await.unwrap();
        assert!(desk.ledger.workers().await.unwrap().is_empty());
    })
    .await;
}

async fn seen(desk: &Desk, ago: &str) {
    sqlx::query("UPDATE workers SET seen_at = now() - $1::text::interval")
        .bind(ago)
        .execute(&desk.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_pack_pushed_last_is_current_unless_recalled() {
    with_desk(async |desk| {
        let current = async || {
            let packs = desk.ledger.packs().await.unwrap();
            packs.into_iter().filter(|pack| pack.current).map(|pack| pack.digest).collect::<Vec<_>>()
        };
        assert!(current().await.is_empty());
        let first = desk.push_pack("first").await;
        let second = desk.push_pack("second").await;
        assert_eq!(current().await, std::slice::from_ref(&second));
        desk.recall(&second).await;
        assert_eq!(current().await, std::slice::from_ref(&first));
        desk.push_pack("second").await;
        assert_eq!(current().await, [second], "pushed again, it is recalled no more");
        desk.push_pack("first").await;
        assert_eq!(current().await, [first]);
    })
    .await;
}
