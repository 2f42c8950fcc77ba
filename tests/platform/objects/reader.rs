//! Reading: every byte once, in order, of one version, or an error that says why not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use uplift_platform::objects::{Expect, Objects, ObjectsConfig, ObjectsError};
use uplift_tests::proxy::{Fault, Proxy, Rule, Way};

use super::{MIB, Server, length, noise, on_both_servers, read_all, sha256};

/// A store behind a proxy that breaks answers, and the same store without it.
struct Broken {
    proxy: Proxy,
    rule: Arc<Rule>,
    through: Objects,
    direct: Objects,
}

async fn broken(server: &Server, fault: Fault, every: usize, stall_seconds: u64) -> Broken {
    let proxy = Proxy::tcp(server.address()).await;
    let rule = proxy.add(Rule::every(Way::Answers, every as u64, fault));
    let direct = server.config(None);
    let endpoint = proxy.url().parse().unwrap();
    let through = ObjectsConfig { endpoint, stall_seconds, ..direct.clone() };
    let (through, direct) = (Objects::new(&through).unwrap(), Objects::new(&direct).unwrap());
    Broken { proxy, rule, through, direct }
}

on_both_servers! {
    a_read_that_is_cut_again_and_again_is_resumed_where_it_broke,
    a_read_that_falls_silent_is_resumed,
    an_object_replaced_while_it_is_read_is_noticed,
    an_object_that_is_not_what_was_recorded_is_refused,
    an_object_that_is_missing_is_not_found_at_once,
    a_store_that_stays_away_is_given_up,
    keys_that_are_wrong_are_denied_and_not_retried,
}

async fn a_read_that_is_cut_again_and_again_is_resumed_where_it_broke(server: Server) {
    let Broken { proxy: _proxy, rule, through, direct } = broken(&server, Fault::Cut, 5 * MIB, 30).await;
    let bytes = noise(100 * MIB + 1);
    direct.put("cut", bytes.clone(), "application/octet-stream").await.unwrap();
    let expect = Expect { bytes: bytes.len() as u64, etag: None, sha256: Some(sha256(&bytes)) };
    let mut reader = through.open("cut", expect);
    assert!(read_all(&mut reader).await.unwrap() == bytes, "other bytes came out");
    assert!(rule.happened() >= 20, "only {} cuts", rule.happened());
    direct.delete_prefix("cut").await.unwrap();
}

async fn a_read_that_falls_silent_is_resumed(server: Server) {
    let Broken { proxy: _proxy, rule, through, direct } = broken(&server, Fault::Stall, 3 * MIB, 1).await;
    let bytes = noise(8 * MIB);
    direct.put("silent", bytes.clone(), "application/octet-stream").await.unwrap();
    let mut reader = through.open("silent", length(bytes.len()));
    assert!(read_all(&mut reader).await.unwrap() == bytes, "other bytes came out");
    assert!(rule.happened() >= 2, "only {} silences", rule.happened());
    assert_eq!(reader.digest().unwrap().sha256, sha256(&bytes));
    direct.delete_prefix("silent").await.unwrap();
}

async fn an_object_replaced_while_it_is_read_is_noticed(server: Server) {
    let Broken { proxy: _proxy, through, direct, .. } = broken(&server, Fault::Cut, 2 * MIB, 30).await;
    let first = noise(20 * MIB);
    let mut second = first.to_vec();
    second[19 * MIB] ^= 1;
    direct.put("replaced", first, "application/octet-stream").await.unwrap();
    let mut reader = through.open("replaced", length(second.len()));
    reader.next().await.unwrap().unwrap();
    direct.put("replaced", second.into(), "application/octet-stream").await.unwrap();
    let err = read_all(&mut reader).await.unwrap_err();
    assert!(matches!(err, ObjectsError::Changed { .. }), "{err:?}");
    assert!(reader.digest().is_none());
    direct.delete_prefix("replaced").await.unwrap();
}

async fn an_object_that_is_not_what_was_recorded_is_refused(server: Server) {
    let objects = server.objects();
    let meta = objects.put("recorded", noise(1000), "application/octet-stream").await.unwrap();
    let good = Expect { bytes: 1000, etag: Some(meta.etag), sha256: Some(sha256(&noise(1000))) };
    assert_eq!(read_all(&mut objects.open("recorded", good.clone())).await.unwrap(), noise(1000));
    let others = [
        Expect { bytes: 999, ..good.clone() },
        Expect { bytes: 1001, ..good.clone() },
        Expect { bytes: 0, etag: None, sha256: None },
        Expect { etag: Some("0123".into()), ..good.clone() },
        Expect { sha256: Some(sha256(b"other")), ..good },
    ];
    for expect in others {
        let err = read_all(&mut objects.open("recorded", expect.clone())).await.unwrap_err();
        assert!(matches!(err, ObjectsError::Changed { .. }), "{expect:?}: {err:?}");
    }
    objects.delete_prefix("recorded").await.unwrap();
}

async fn an_object_that_is_missing_is_not_found_at_once(server: Server) {
    let objects = server.objects();
    let started = Instant::now();
    for bytes in [0, 1] {
        let err = objects.open("missing", length(bytes)).next().await.unwrap_err();
        assert!(matches!(err, ObjectsError::NotFound { .. }), "{err:?}");
    }
    assert!(matches!(objects.get("missing", 1).await.unwrap_err(), ObjectsError::NotFound { .. }));
    assert_eq!(objects.head("missing").await.unwrap(), None);
    assert!(started.elapsed() < Duration::from_secs(5), "it was tried again for {:?}", started.elapsed());
}

async fn a_store_that_stays_away_is_given_up(server: Server) {
    // A proxy that cuts every answer at its first byte.
    let Broken { proxy, rule, .. } = broken(&server, Fault::Cut, 1, 30).await;
    let away = ObjectsConfig { patience_seconds: 2, ..server.config(Some(&proxy)) };
    let away = Objects::new(&away).unwrap();
    let started = Instant::now();
    let err = away.open("away", length(1)).next().await.unwrap_err();
    assert!(matches!(err, ObjectsError::Unavailable { .. }), "{err:?}");
    assert!(rule.happened() >= 2, "it was tried once only");
    assert!(started.elapsed() < Duration::from_secs(30), "it took {:?}", started.elapsed());
    let err = away.ping().await.unwrap_err();
    assert!(matches!(err, ObjectsError::Unavailable { .. }), "{err:?}");
}

async fn keys_that_are_wrong_are_denied_and_not_retried(server: Server) {
    let wrong = ObjectsConfig { secret_key: "0".repeat(64).into(), ..server.config(None) };
    let started = Instant::now();
    let err = Objects::new(&wrong).unwrap().ping().await.unwrap_err();
    assert!(matches!(err, ObjectsError::Denied { .. }), "{err:?}");
    let err = Objects::new(&wrong).unwrap().open("any", length(1)).next().await.unwrap_err();
    assert!(matches!(err, ObjectsError::Denied { .. }), "{err:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
    server.objects().ping().await.unwrap();
}
