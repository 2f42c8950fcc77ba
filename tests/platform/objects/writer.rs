//! Writing: whole at the end, or nothing left.

use std::time::Duration;

use bytes::Bytes;
use uplift_platform::objects::{Expect, Objects, ObjectsError};
use uplift_tests::{
    eventually,
    proxy::{Fault, Proxy, Rule, Way},
};

use super::{MIB, Server, noise, on_both_servers, read_all, sha256};

const PART: usize = 5 * MIB;

on_both_servers! {
    what_is_written_is_read_back_at_every_size_around_a_part,
    a_large_object_of_unknown_size_takes_three_parts_of_memory,
    an_aborted_writer_leaves_nothing,
    a_dropped_writer_leaves_nothing_soon_after,
    a_writer_whose_upload_another_process_aborted_says_so,
    a_part_damaged_on_its_way_is_sent_again,
}

async fn what_is_written_is_read_back_at_every_size_around_a_part(server: Server) {
    let objects = server.objects();
    for size in [0, 1, PART - 1, PART, PART + 1, 2 * PART] {
        let bytes = noise(size);
        let mut writer = objects.writer("object", Some(size as u64)).await.unwrap();
        writer.write(bytes.clone()).await.unwrap();
        let written = writer.finish().await.unwrap();
        assert_eq!((written.bytes, &written.sha256), (size as u64, &sha256(&bytes)), "{size} bytes");
        let meta = objects.head("object").await.unwrap().unwrap();
        assert_eq!((meta.bytes, &meta.etag), (size as u64, &written.etag), "{size} bytes");
        let expect =
            Expect { bytes: size as u64, etag: Some(written.etag), sha256: Some(written.sha256.clone()) };
        let mut reader = objects.open("object", expect);
        assert_eq!(read_all(&mut reader).await.unwrap(), bytes, "{size} bytes");
        let digest = reader.digest().unwrap();
        assert_eq!((digest.bytes, &digest.sha256), (size as u64, &written.sha256), "{size} bytes");
    }
    objects.delete_prefix("object").await.unwrap();
}

async fn a_large_object_of_unknown_size_takes_three_parts_of_memory(server: Server) {
    let objects = server.objects();
    let bytes = noise(100 * MIB + 12_345);
    let mut writer = objects.writer("large", None).await.unwrap();
    let mut most = 0;
    for chunk in bytes.chunks(777_777) {
        writer.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        most = most.max(writer.buffered());
    }
    let written = writer.finish().await.unwrap();
    assert!(most <= 3 * PART, "{most} bytes were in memory");
    assert!(most > PART, "two parts are on their way while a third fills, so {most} bytes is too few");
    assert_eq!(written.sha256, sha256(&bytes));
    let expect = Expect { bytes: written.bytes, etag: None, sha256: Some(written.sha256) };
    let mut reader = objects.open("large", expect);
    let mut read = 0;
    while let Some(chunk) = reader.next().await.unwrap() {
        assert!(chunk.len() <= 4 * MIB, "a chunk of {} bytes", chunk.len());
        read += chunk.len();
    }
    assert_eq!(read, bytes.len());
    assert!(objects.list_uploads("large").await.unwrap().is_empty());
    objects.delete_prefix("large").await.unwrap();
}

async fn an_aborted_writer_leaves_nothing(server: Server) {
    let objects = server.objects();
    let mut writer = objects.writer("aborted", None).await.unwrap();
    let pending = objects.list_uploads("aborted").await.unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!(&pending[0].upload, writer.upload_id());
    assert_eq!(pending[0].key, "aborted");
    writer.write(noise(2 * PART + 5)).await.unwrap();
    writer.abort().await.unwrap();
    assert_nothing(&objects, "aborted").await;
}

async fn a_dropped_writer_leaves_nothing_soon_after(server: Server) {
    let objects = server.objects();
    let mut writer = objects.writer("dropped", None).await.unwrap();
    writer.write(noise(2 * PART + 5)).await.unwrap();
    drop(writer);
    eventually("the upload is aborted", Duration::from_secs(20), async || {
        objects.list_uploads("dropped").await.unwrap().is_empty().then_some(())
    })
    .await;
    assert_nothing(&objects, "dropped").await;
}

async fn a_writer_whose_upload_another_process_aborted_says_so(server: Server) {
    let objects = server.objects();
    let mut writer = objects.writer("stolen", None).await.unwrap();
    writer.write(noise(100)).await.unwrap();
    objects.abort_upload("stolen", writer.upload_id()).await.unwrap();
    let err = writer.finish().await.unwrap_err();
    assert!(matches!(err, ObjectsError::NotFound { .. }), "{err:?}");
    assert_nothing(&objects, "stolen").await;
}

/// The checksum of each part is what notices, and sending the part again is what helps.
async fn a_part_damaged_on_its_way_is_sent_again(server: Server) {
    // Far enough for the requests' headers to have passed, so that it is the body that is hit.
    let proxy = Proxy::tcp(server.address()).await;
    let rule = proxy.add(Rule::after(Way::Requests, 2 * MIB as u64, Fault::Flip));
    let objects = Objects::new(&server.config(Some(&proxy))).unwrap();
    let bytes = noise(PART + MIB);
    let mut writer = objects.writer("damaged", Some(bytes.len() as u64)).await.unwrap();
    writer.write(bytes.clone()).await.unwrap();
    let written = writer.finish().await.unwrap();
    assert_eq!(rule.happened(), 1);
    let stored = objects.get("damaged", written.bytes).await.unwrap();
    assert_eq!(sha256(&stored), sha256(&bytes));
    objects.delete_prefix("damaged").await.unwrap();
}

async fn assert_nothing(objects: &Objects, key: &str) {
    assert_eq!(objects.head(key).await.unwrap(), None);
    assert!(objects.list_uploads(key).await.unwrap().is_empty());
}
