//! A customer's upload and download, by plain HTTP with presigned URLs.

use std::time::Duration;

use uplift_platform::objects::{Objects, ObjectsConfig, ObjectsError, Part};
use url::Url;

use super::{MIB, Server, noise, on_both_servers, sha256};

const TTL: Duration = Duration::from_secs(300);

fn http() -> reqwest::Client {
    // A second call finds it installed, which is as good.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// Sends a part as a browser would; returns its tag.
async fn send(url: Url, bytes: bytes::Bytes) -> String {
    let answer = http().put(url).body(bytes).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    answer.headers()["etag"].to_str().unwrap().to_owned()
}

on_both_servers! {
    an_upload_goes_on_where_it_stopped,
    an_aborted_upload_is_gone_and_may_be_aborted_again,
    a_small_upload_of_one_part_takes_nothing_once_it_is_over,
    a_download_has_a_name_and_an_end,
    urls_are_signed_for_the_address_that_customers_reach,
}

/// The embedded server is not for pages.
#[tokio::test]
async fn pages_may_put_parts_and_nothing_else() {
    let objects = Server::garage().objects();
    objects.allow_pages().await.unwrap();
    assert!(!objects.allow_pages().await.unwrap(), "said once, it is said");
    let upload = objects.start_upload("dump").await.unwrap();
    let link = objects.presign_part("dump", &upload, 1, TTL).await.unwrap();
    assert_eq!(objects.upload_origin().await.unwrap(), link.origin().ascii_serialization());
    // What a browser asks before a page of another origin may send anything.
    let asks = async |method: &str| {
        let request = http().request(reqwest::Method::OPTIONS, link.clone());
        let request = request.header("origin", "https://up.example.com");
        let request = request.header("access-control-request-method", method);
        let request = request.header("access-control-request-headers", "content-type");
        request.send().await.unwrap()
    };
    let answer = asks("PUT").await;
    assert!(answer.status().is_success(), "{}", answer.status());
    let headers = answer.headers();
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert!(headers["access-control-allow-methods"].to_str().unwrap().contains("PUT"), "{headers:?}");
    for method in ["GET", "DELETE", "POST"] {
        assert!(asks(method).await.status().is_client_error(), "{method}");
    }
    objects.abort_upload("dump", &upload).await.unwrap();
}

async fn an_upload_goes_on_where_it_stopped(server: Server) {
    let objects = server.objects();
    let bytes = noise(11 * MIB);
    let (first, second) = (bytes.slice(..6 * MIB), bytes.slice(6 * MIB..));
    let upload = objects.start_upload("dump").await.unwrap();
    let etag = send(objects.presign_part("dump", &upload, 1, TTL).await.unwrap(), first.clone()).await;

    // The client is gone. Another one asks what arrived, and sends the rest.
    let arrived = objects.uploaded_parts("dump", &upload).await.unwrap();
    assert_eq!(arrived.len(), 1);
    assert_eq!((arrived[0].number, arrived[0].bytes), (1, first.len() as u64));
    assert_eq!(arrived[0].etag, etag.trim_matches('"'));
    let other = send(objects.presign_part("dump", &upload, 2, TTL).await.unwrap(), second).await;

    let wrong = vec![Part { number: 1, etag: etag.clone() }, Part { number: 2, etag: etag.clone() }];
    let err = objects.complete_upload("dump", &upload, wrong).await.unwrap_err();
    assert!(matches!(err, ObjectsError::Invalid { .. }), "{err:?}");

    // In any order, with quotes or without.
    let parts = vec![Part { number: 2, etag: other }, Part { number: 1, etag: arrived[0].etag.clone() }];
    let completed = objects.complete_upload("dump", &upload, parts.clone()).await.unwrap();
    assert_eq!(completed.bytes, bytes.len() as u64);
    let again = objects.complete_upload("dump", &upload, parts).await.unwrap();
    assert_eq!(again, completed, "an answer that got lost is asked for again");
    objects.abort_upload("dump", &upload).await.unwrap();
    let stored = objects.get("dump", completed.bytes).await.unwrap();
    assert_eq!(sha256(&stored), sha256(&bytes));
    objects.delete_prefix("dump").await.unwrap();
}

async fn an_aborted_upload_is_gone_and_may_be_aborted_again(server: Server) {
    let objects = server.objects();
    let upload = objects.start_upload("gone").await.unwrap();
    let etag = send(objects.presign_part("gone", &upload, 1, TTL).await.unwrap(), noise(10)).await;
    objects.abort_upload("gone", &upload).await.unwrap();
    objects.abort_upload("gone", &upload).await.unwrap();
    assert!(objects.list_uploads("gone").await.unwrap().is_empty());
    let err = objects.uploaded_parts("gone", &upload).await.unwrap_err();
    assert!(matches!(err, ObjectsError::NotFound { .. }), "{err:?}");
    let err = objects.complete_upload("gone", &upload, vec![Part { number: 1, etag }]).await.unwrap_err();
    assert!(matches!(err, ObjectsError::NotFound { .. }), "{err:?}");
}

/// How scripts come: whatever is put late, or again, changes nothing.
async fn a_small_upload_of_one_part_takes_nothing_once_it_is_over(server: Server) {
    let objects = server.objects();
    let put = async |url: Url, bytes| http().put(url).body(bytes).send().await.unwrap().status();
    let [kept, dropped] =
        [objects.start_upload("kept").await.unwrap(), objects.start_upload("dropped").await.unwrap()];
    let link = objects.presign_part("kept", &kept, 1, TTL).await.unwrap();
    assert_eq!(put(link.clone(), noise(5)).await, 200);
    assert_eq!(put(link.clone(), noise(10)).await, 200, "until it is complete, it may be put again");
    assert_eq!(objects.head("kept").await.unwrap(), None);
    let parts = objects.uploaded_parts("kept", &kept).await.unwrap();
    assert_eq!(parts.iter().map(|part| (part.number, part.bytes)).collect::<Vec<_>>(), [(1, 10)]);
    let part = Part { number: 1, etag: parts[0].etag.clone() };
    let completed = objects.complete_upload("kept", &kept, vec![part]).await.unwrap();
    assert_eq!(put(link, noise(10)).await, 404);
    let found = objects.head("kept").await.unwrap().unwrap();
    assert_eq!((found.etag, found.bytes), (completed.etag, 10));

    let link = objects.presign_part("dropped", &dropped, 1, TTL).await.unwrap();
    objects.abort_upload("dropped", &dropped).await.unwrap();
    assert_eq!(put(link, noise(10)).await, 404);
    assert_eq!(objects.head("dropped").await.unwrap(), None);
    objects.delete_prefix("kept").await.unwrap();
}

async fn a_download_has_a_name_and_an_end(server: Server) {
    let objects = server.objects();
    objects.put("result", noise(1000), "application/gzip").await.unwrap();
    let url = objects.presign_get("result", "Müller GmbH.sql.gz", TTL).await.unwrap();
    let answer = http().get(url.clone()).send().await.unwrap();
    let name = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert_eq!(
        name,
        "attachment; filename=\"M_ller GmbH.sql.gz\"; filename*=UTF-8''M%C3%BCller%20GmbH.sql.gz"
    );
    assert_eq!(answer.bytes().await.unwrap(), noise(1000));

    let mut forged = url;
    forged.query_pairs_mut().append_pair("x", "y");
    assert_eq!(http().get(forged).send().await.unwrap().status(), 403);
    let err = objects.presign_get("result", "r", Duration::from_secs(8 * 86_400)).await.unwrap_err();
    assert!(matches!(err, ObjectsError::Invalid { .. }), "{err:?}");
    objects.delete_prefix("result").await.unwrap();
}

async fn urls_are_signed_for_the_address_that_customers_reach(server: Server) {
    let public = Some("https://objects.example.com".parse().unwrap());
    let objects = Objects::new(&ObjectsConfig { public_endpoint: public, ..server.config(None) }).unwrap();
    // It need not be reachable from here.
    let upload = objects.start_upload("public").await.unwrap();
    for url in [
        objects.presign_part("public", &upload, 10_000, TTL).await.unwrap(),
        objects.presign_get("public", "f", TTL).await.unwrap(),
    ] {
        assert_eq!((url.scheme(), url.host_str()), ("https", Some("objects.example.com")));
        assert!(!url.as_str().contains("checksum"), "a browser cannot send one: {url}");
    }
    let err = objects.presign_part("public", &upload, 10_001, TTL).await.unwrap_err();
    assert!(matches!(err, ObjectsError::Invalid { .. }), "{err:?}");
    objects.abort_upload("public", &upload).await.unwrap();
}
