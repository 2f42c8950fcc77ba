//! Opening a ledger.

use std::time::Duration;

use futures_util::future::join_all;
use secrecy::SecretString;
use sqlx::PgPool;
use uplift_platform::ledger::{Ledger, LedgerError};

use super::desk::{with_database, with_desk};

#[tokio::test(flavor = "multi_thread")]
async fn eight_at_once_migrate_an_empty_database() {
    with_database(async |url| {
        let opened = join_all((0..8).map(|_| {
            let url = SecretString::from(url.clone());
            tokio::spawn(async move { Ledger::connect(&url).await })
        }))
        .await;
        for ledger in opened {
            ledger.unwrap().unwrap().ping().await.unwrap();
        }
        let pool = PgPool::connect(&url).await.unwrap();
        let migrations: i64 =
            sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(&pool).await.unwrap();
        assert_eq!(migrations, 1);
    })
    .await;
}

#[tokio::test]
async fn a_ledger_that_is_newer_than_the_program_is_refused() {
    with_desk(async |desk| {
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'later', true, '', 0)",
        )
        .execute(&desk.pool)
        .await
        .unwrap();
        let refused = Ledger::connect(&desk.url.clone().into()).await.unwrap_err();
        assert!(matches!(refused, LedgerError::Migrate(_)), "{refused:?}");
        assert!(!refused.is_unavailable(), "waiting would not help");
    })
    .await;
}

#[tokio::test]
async fn a_ledger_out_of_reach_may_come_back() {
    let nobody = SecretString::from("postgres://nobody@127.0.0.1:1/nothing");
    let connecting = tokio::time::timeout(Duration::from_secs(30), Ledger::connect(&nobody)).await;
    assert!(connecting.expect("it gives up").unwrap_err().is_unavailable());
}

#[tokio::test]
async fn connections_that_were_ended_are_replaced() {
    with_desk(async |desk| {
        desk.ledger.ping().await.unwrap();
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
            .execute(&desk.pool)
            .await
            .unwrap();
        // A pool tests a connection before it hands it out.
        desk.ledger.ping().await.unwrap();
    })
    .await;
}
