//! Small objects, and whole prefixes of them.

use bytes::Bytes;
use uplift_platform::objects::{Objects, ObjectsConfig, ObjectsError};

use super::{Server, on_both_servers};

on_both_servers! {
    a_small_object_is_read_whole_up_to_a_limit,
    a_prefix_is_deleted_and_nothing_beside_it,
}

async fn a_small_object_is_read_whole_up_to_a_limit(server: Server) {
    let objects = server.objects();
    for bytes in [&b""[..], b"report"] {
        let meta = objects.put("small", Bytes::from(bytes), "application/json").await.unwrap();
        assert_eq!(meta.bytes, bytes.len() as u64);
        assert_eq!(objects.head("small").await.unwrap(), Some(meta));
        assert_eq!(objects.get("small", 6).await.unwrap(), bytes);
    }
    let err = objects.get("small", 5).await.unwrap_err();
    assert!(matches!(err, ObjectsError::TooLarge { limit: 5, .. }), "{err:?}");
    objects.delete_prefix("small").await.unwrap();
}

async fn a_prefix_is_deleted_and_nothing_beside_it(server: Server) {
    let ours = server.config(None);
    let objects = Objects::new(&ours).unwrap();
    let nested = Objects::new(&ObjectsConfig { prefix: format!("{}a/", ours.prefix), ..ours }).unwrap();
    for key in ["a/1", "a/2/3", "ab"] {
        objects.put(key, Bytes::from_static(b"x"), "text/plain").await.unwrap();
    }
    let keys = |listed: Vec<_>| listed.into_iter().map(|it: uplift_platform::objects::Listed| it.key);
    assert!(keys(nested.list("").await.unwrap()).eq(["1", "2/3"]), "keys are seen without the prefix");
    assert_eq!(objects.delete_prefix("a/").await.unwrap(), 2);
    assert!(keys(objects.list("").await.unwrap()).eq(["ab"]));
    assert_eq!(objects.delete_prefix("a/").await.unwrap(), 0, "again is no error");
    let err = objects.delete_prefix("").await.unwrap_err();
    assert!(matches!(err, ObjectsError::Misconfigured { .. }), "{err:?}");
    objects.delete_prefix("ab").await.unwrap();
}
