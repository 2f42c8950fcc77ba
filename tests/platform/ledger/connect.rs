//! Opening a ledger.

use std::time::Duration;

use futures_util::future::join_all;
use secrecy::SecretString;
use sqlx::PgPool;
use uplift_platform::ledger::{Ledger, LedgerError};
use uplift_tests::{eventually, repository};

use super::desk::{with_database, with_desk};

#[tokio::test(flavor = "multi_thread")]
async fn eight_at_once_migrate_an_empty_database() {
    with_database(async |url| {
        let opened = join_all((0..8).map(|_| {
            let url = SecretString::from(url.clone());
            tokio::spawn(async move { Ledger::migrate(&url).await })
        }))
        .await;
        for ledger in opened {
            ledger.unwrap().unwrap().ping().await.unwrap();
        }
        let pool = PgPool::connect(&url).await.unwrap();
        let migrations: i64 =
            sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(&pool).await.unwrap();
        let written = std::fs::read_dir(repository("crates/uplift-platform/migrations")).unwrap().count();
        assert_eq!(migrations, i64::try_from(written).unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_ledger_that_is_newer_than_the_program_is_used_but_not_migrated() {
    with_desk(async |desk| {
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'later', true, '', 0)",
        )
        .execute(&desk.pool)
        .await
        .unwrap();
        let url = desk.url.clone().into();
        Ledger::connect(&url).await.unwrap().ping().await.unwrap();
        let refused = Ledger::migrate(&url).await.unwrap_err();
        assert!(matches!(refused, LedgerError::Migrate(_)), "{refused:?}");
        assert!(!refused.is_unavailable(), "waiting would not help");
    })
    .await;
}

#[tokio::test]
async fn a_ledger_that_is_older_than_the_program_is_waited_for_and_left_alone() {
    with_database(async |url| {
        let pool = PgPool::connect(&url).await.unwrap();
        let url = SecretString::from(url);
        let waiting = tokio::spawn({
            let url = url.clone();
            async move { Ledger::connect(&url).await }
        });
        // It has asked for the schema, and found none.
        eventually("somebody asks", Duration::from_secs(30), async || {
            let asked = "SELECT count(*) FROM pg_stat_activity
                         WHERE datname = current_database() AND state = 'idle' AND query LIKE '%to_regclass%'
                           AND pid <> pg_backend_pid()";
            let asked: i64 = sqlx::query_scalar(asked).fetch_one(&pool).await.unwrap();
            (asked > 0).then_some(())
        })
        .await;
        assert!(!waiting.is_finished(), "it did not wait");
        let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
        let tables: i64 = sqlx::query_scalar(tables).fetch_one(&pool).await.unwrap();
        assert_eq!(tables, 0, "it has migrated");
        Ledger::migrate(&url).await.unwrap();
        let ledger = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        ledger.expect("it goes on").unwrap().unwrap().ping().await.unwrap();
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
