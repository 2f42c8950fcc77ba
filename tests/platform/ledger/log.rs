//! A request's own log: numbered through, however it was written.

use std::time::Duration;

use uplift_core::{Clock, Lease, RequestId, event::Level};
use uplift_platform::ledger::LogLine;

use super::desk::{Desk, released, with_desk};

/// How many chunks a page holds at most.
const PAGE: usize = 256;

fn line(number: u64) -> LogLine {
    let text = format!("line {number}: Straße, 数据库, \u{1f418}, \"\\\" und '\t'");
    // Whole microseconds: JSON keeps them all.
    let at = Clock::Fixed(chrono::DateTime::UNIX_EPOCH + Duration::from_micros(number * 1_000_001)).now();
    LogLine { at, level: [Level::Info, Level::Warning, Level::Error][(number % 3) as usize], text }
}

/// Appends chunks of 1, 2, 3, 1, 2, 3 … lines behind what is there.
async fn append(desk: &Desk, lease: &Lease, chunks: usize, next: &mut u64) {
    for chunk in 0..chunks {
        let lines: Vec<LogLine> = (*next..).take(chunk % 3 + 1).map(line).collect();
        desk.ledger.append_log(lease, &lines).await.unwrap();
        *next += lines.len() as u64;
    }
}

/// Reads from behind a line to the end, page by page; gives the number of pages.
async fn read(desk: &Desk, request: RequestId, from: u64, last: u64) -> usize {
    let (mut at, mut pages) = (from, 0);
    loop {
        let page = desk.ledger.log_after(request, at).await.unwrap();
        if page.lines.is_empty() {
            assert_eq!(at, last.max(from), "the page behind line {at} is empty");
            return pages;
        }
        for (number, read) in page.lines {
            at += 1;
            assert_eq!((number, read), (at, line(at)));
        }
        pages += 1;
    }
}

#[tokio::test]
async fn lines_are_numbered_through_chunks_attempts_and_pages() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let request = desk.queued(&bearer, "shop").await;
        assert_eq!(read(desk, request, 0, 0).await, 0, "nothing was said");
        let mut next = 1;
        for chunks in [PAGE - 1, 1, 0, 1, PAGE] {
            let lease = desk.claimed().await.lease;
            append(desk, &lease, chunks, &mut next).await;
            desk.fail(&lease, released()).await;
        }
        let last = next - 1;
        assert_eq!(desk.ledger.request(None, request).await.unwrap().log_lines, last);
        assert_eq!(read(desk, request, 0, last).await, 3);
        // From the edges and the middles of chunks, around the end of the first page, and around the end of all.
        let edge = PAGE as u64 * 2;
        for from in (1..12).chain(edge - 8..edge + 8).chain(last - 8..last + 3) {
            read(desk, request, from, last).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_that_begins_within_a_chunk_goes_on_behind_it() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let lease = desk.running(&bearer, "shop").await.lease;
        let lines: Vec<LogLine> = (1..=500).map(line).collect();
        desk.ledger.append_log(&lease, &lines).await.unwrap();
        desk.ledger.append_log(&lease, &[line(501)]).await.unwrap();
        let page = desk.ledger.log_after(lease.request(), 499).await.unwrap();
        assert_eq!(page.lines, [(500, line(500)), (501, line(501))]);
    })
    .await;
}

#[tokio::test]
async fn no_lines_are_no_chunk() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let lease = desk.running(&bearer, "shop").await.lease;
        desk.ledger.append_log(&lease, &[]).await.unwrap();
        desk.ledger.append_log(&lease, &[line(1)]).await.unwrap();
        desk.ledger.append_log(&lease, &[]).await.unwrap();
        desk.ledger.append_log(&lease, &[line(2)]).await.unwrap();
        assert_eq!(read(desk, lease.request(), 0, 2).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_log_is_its_requests_own() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let first = desk.running(&bearer, "a").await.lease;
        let second = desk.running(&bearer, "b").await.lease;
        for number in 1..=5 {
            desk.ledger.append_log(&first, &[line(number)]).await.unwrap();
            desk.ledger.append_log(&second, &[line(number)]).await.unwrap();
        }
        read(desk, first.request(), 0, 5).await;
        read(desk, second.request(), 0, 5).await;
    })
    .await;
}

#[tokio::test]
async fn what_postgres_cannot_hold_is_replaced() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let lease = desk.running(&bearer, "shop").await.lease;
        let nul = LogLine { text: "a\0b \\u0000".into(), ..line(1) };
        desk.ledger.append_log(&lease, &[nul]).await.unwrap();
        let page = desk.ledger.log_after(lease.request(), 0).await.unwrap();
        assert_eq!(page.lines[0].1.text, "a\u{fffd}b \\u0000");
    })
    .await;
}
