//! What has not ended, as it is now.

use super::{Kept, Metrics, Sample, labels, past::Totals};
use crate::ledger::{LedgerError, worker::GONE_SECONDS};
use sqlx::{PgConnection, Row as _};

/// What waits or runs, all of it in one pass: what a row is about, up to three labels, and a figure. An estimate counts from
/// the attempt's beginning, or from now. A promise is broken the moment its deadline passes.
const OPEN: &str = "
    WITH open AS (
        SELECT r.state, r.purpose, r.stage, r.lease_until, r.deadline, r.promise_seconds,
            CASE WHEN r.accepted_test IS NOT NULL OR r.detected_at <= r.deadline THEN coalesce(r.product, p.product, 'unknown')
                 ELSE 'unknown' END AS product,
            coalesce(a.started_at, first.began, greatest(now(), r.promised_from)) AS begun,
            greatest(r.progressed_at, a.started_at, first.began) AS progressed,
            make_interval(secs => r.expected_p50) AS p50, make_interval(secs => r.expected_p90) AS p90
        FROM requests r
        LEFT JOIN packs p ON p.digest = r.pack_digest
        -- The first attempt began when the request did: what is looked up are the few that have one more.
        LEFT JOIN attempts a ON a.request_id = r.id AND a.epoch = r.epoch AND a.ended_at IS NULL AND a.epoch > 1,
        LATERAL (SELECT CASE r.state WHEN 'running' THEN r.started_at END AS began) AS first
        WHERE r.finished_at IS NULL AND NOT r.canary),
    -- Few rows, however many are open.
    alike AS MATERIALIZED (
        SELECT state, purpose, stage, product,
            -- Most are well, and this is all that it takes to say so.
            CASE WHEN begun + p90 <= deadline AND now() + make_interval(secs => promise_seconds / 6) <= deadline THEN 'ok'
                 WHEN deadline IS NULL THEN ''
                 WHEN deadline < now() THEN 'breached'
                 WHEN greatest(begun + p50, now()) > deadline THEN 'predicted_breach'
                 WHEN begun + p90 > deadline OR deadline < now() + make_interval(secs => promise_seconds / 6) THEN 'at_risk'
                 ELSE 'ok' END AS zone,
            count(*) AS count, min(begun) AS begun, min(progressed) AS progressed, min(lease_until) AS lease_until,
            min(deadline) AS deadline,
            min(deadline - greatest(begun + p50, now())) FILTER (WHERE p50 IS NOT NULL) AS slack
        FROM open GROUP BY 1, 2, 3, 4, 5)
    SELECT 'zone', state, purpose, zone, sum(count)::float8
    FROM alike GROUP BY 2, 3, 4
    UNION ALL
    SELECT 'breached', product, purpose, 'breached', sum(count)::float8
    FROM alike WHERE zone = 'breached' GROUP BY 2, 3
    UNION ALL
    SELECT 'earliest', '', '', '', extract(epoch FROM min(deadline))::float8
    FROM alike WHERE zone <> 'breached' HAVING min(deadline) IS NOT NULL
    UNION ALL
    SELECT 'running', stage, '', '', extract(epoch FROM min(begun))::float8
    FROM alike WHERE state = 'running' AND stage IS NOT NULL GROUP BY 2
    UNION ALL
    SELECT 'slack', '', '', '', extract(epoch FROM min(slack))::float8
    FROM alike WHERE zone <> 'breached' HAVING min(slack) IS NOT NULL
    UNION ALL
    SELECT 'progress', '', '', '', extract(epoch FROM min(progressed))::float8
    FROM alike WHERE state = 'running' HAVING count(*) > 0
    UNION ALL
    SELECT 'lease', '', '', '', extract(epoch FROM min(lease_until) - now())::float8
    FROM alike WHERE state = 'running' HAVING count(*) > 0
    ORDER BY 1, 2, 3, 4";

/// Every series that may ever count starts at 0: a rate does not see the first event of a series that starts at 1.
const SLA_SERIES: &str = "
    SELECT product, purpose, outcome, 0::float8
    FROM (SELECT DISTINCT product, outcome FROM packs, (VALUES ('met'), ('breached')) AS words (outcome)
          UNION SELECT 'unknown', 'breached') AS outcomes, (VALUES ('test'), ('production')) AS words (purpose)";

/// Not what is held, booked for later, or waits for another request of its database or its account.
const OLDEST_QUEUED: &str = "
    SELECT purpose, extract(epoch FROM min(greatest(promised_from, not_before)))::float8
    FROM requests r JOIN accounts a ON a.id = r.account_id
    LEFT JOIN (SELECT account_id, count(*) AS running FROM requests WHERE state = 'running' GROUP BY 1) AS busy
        ON busy.account_id = r.account_id
    WHERE state = 'queued' AND NOT r.canary AND coalesce(busy.running, 0) < a.max_running AND held IS NULL AND not_before <= now()
      AND NOT EXISTS (SELECT FROM requests o WHERE o.database_id = r.database_id AND o.state = 'running')
    GROUP BY 1 ORDER BY 1";

const LAST_CLAIM: &str = "
    SELECT extract(epoch FROM a.started_at)::float8 FROM attempts a JOIN requests r ON r.id = a.request_id
    WHERE NOT r.canary ORDER BY a.started_at DESC LIMIT 1";

const ESTIMATE_ERRORS: &str = "
    SELECT p.product, percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(seconds - expected_p50) / expected_p50)
    FROM (SELECT DISTINCT product FROM packs) p CROSS JOIN LATERAL (
        SELECT expected_p50, extract(epoch FROM r.finished_at - a.started_at)::float8 AS seconds
        FROM requests r JOIN attempts a ON a.request_id = r.id AND a.epoch = r.epoch
        WHERE r.product = p.product AND r.state = 'delivered' AND NOT r.canary AND expected_p50 > 0
        ORDER BY r.finished_at DESC LIMIT 100) AS judged
    GROUP BY 1 ORDER BY 1";

const WORKERS: &str = "
    SELECT CASE WHEN seen_at <= now() - make_interval(secs => $1) THEN 'gone'
                WHEN draining THEN 'draining' ELSE 'alive' END, version, count(*)::float8
    FROM workers GROUP BY 1, 2 ORDER BY 1, 2";

// What a worker says of itself is some seconds old; what it holds is not.
const SLOTS: &str = "
    SELECT kind.state, sum(kind.slots)::float8
    FROM workers w
    LEFT JOIN (SELECT worker_id, count(*) AS held FROM requests WHERE state = 'running' GROUP BY 1) AS busy
        ON busy.worker_id = w.id,
    LATERAL (VALUES
        ('free', CASE WHEN draining THEN 0 ELSE greatest(w.slots - coalesce(held, 0), 0) END),
        ('busy', coalesce(held, 0))) AS kind (state, slots)
    WHERE seen_at > now() - make_interval(secs => $1) GROUP BY 1 ORDER BY 1";

const INTERVENTIONS: &str = "
    SELECT CASE WHEN i.claimed_until > now() THEN 'claimed' ELSE 'unclaimed' END, count(*)::float8,
        extract(epoch FROM min(i.opened_at))::float8
    FROM interventions i JOIN requests r ON r.id = i.request_id
    WHERE i.closed_at IS NULL AND NOT r.canary GROUP BY 1 ORDER BY 1";

const HELD: &str = "
    SELECT (SELECT count(*) FROM held_hops WHERE released_at IS NULL),
        (SELECT count(*) FROM requests WHERE NOT canary AND held IS NOT NULL AND held ->> 'kind' = 'hop')";

const NOTIFICATIONS: &str = "
    SELECT CASE WHEN webhook_id IS NULL THEN 'mail' ELSE 'webhook' END, count(*)::float8,
        extract(epoch FROM min(next_at))::float8
    FROM notifications WHERE next_at <= now() GROUP BY 1 ORDER BY 1";

/// As [`crate::ledger::Ledger::outdated`] has it.
const RETENTION: &str = "
    SELECT count(*)::float8, extract(epoch FROM min(since))::float8 FROM (
        SELECT delete_at AS since FROM requests WHERE delete_by IS NOT NULL AND deleted_at IS NULL
        UNION ALL
        SELECT finished_at + make_interval(secs => $2) FROM requests
        WHERE deleted_at IS NULL AND state IN ('delivered', 'rejected', 'cancelled')
          AND finished_at < now() - make_interval(secs => $2)
        UNION ALL
        SELECT finished_at + make_interval(secs => $1) FROM requests
        WHERE source_deleted_at IS NULL AND state IN ('delivered', 'rejected', 'cancelled')
          AND NOT (purpose = 'production' AND state = 'delivered')
          AND finished_at < now() - make_interval(secs => $1)) AS due
    HAVING count(*) > 0";

const UNSWEPT: &str = "
    SELECT count(*)::float8, extract(epoch FROM min(ended_at))::float8 FROM attempts
    WHERE outcome <> 'delivered' AND NOT swept AND ended_at IS NOT NULL HAVING count(*) > 0";

const SAVED_BYTES: &str = "
    SELECT coalesce(sum((checkpoint->>'bytes')::bigint), 0)::bigint FROM attempts
    WHERE checkpoint IS NOT NULL AND NOT checkpoint_swept";

/// One that succeeded was accepted: its customer has fetched the result. There is none any more once its token is revoked, and
/// what was before the next token is forgotten; a token that has expired is a canary that does not come back.
const CANARY: &str = "
    SELECT extract(epoch FROM min(created_at) OVER ())::float8, extract(epoch FROM accepted_at)::float8,
        extract(epoch FROM accepted_at - created_at)::float8
    FROM requests
    WHERE canary AND created_at >= (SELECT min(created_at) FROM tokens WHERE role = 'canary' AND revoked_at IS NULL)
    ORDER BY accepted_at DESC NULLS LAST LIMIT 1";

/// What has not ended; with the promises that were met and broken before.
pub(super) async fn metrics(
    tx: &mut PgConnection,
    ended: &Totals,
    kept: Kept,
) -> Result<Metrics, LedgerError> {
    let open = Open(samples(tx, OPEN, None).await?);
    let (interventions, oldest_intervention) = counted_since(tx, INTERVENTIONS).await?;
    let (notifications, oldest_notification) = counted_since(tx, NOTIFICATIONS).await?;
    let mut promises = ended.sla_events.clone();
    for Sample { labels, value } in
        open.of("breached", 3).into_iter().chain(samples(tx, SLA_SERIES, None).await?)
    {
        *promises.entry(labels).or_default() += value;
    }
    let (hops, waiting): (i64, i64) = sqlx::query_as(HELD).fetch_one(&mut *tx).await?;
    Ok(Metrics {
        requests: open.of("zone", 3),
        worst_slack: open.one("slack"),
        oldest_running: open.of("running", 1),
        oldest_progress: open.one("progress"),
        lease_slack: open.one("lease"),
        earliest_deadline: open.one("earliest"),
        oldest_queued: samples(tx, OLDEST_QUEUED, None).await?,
        last_claim: sqlx::query_scalar(LAST_CLAIM).fetch_optional(&mut *tx).await?,
        estimate_errors: samples(tx, ESTIMATE_ERRORS, None).await?,
        workers: samples(tx, WORKERS, Some(GONE_SECONDS)).await?,
        slots: samples(tx, SLOTS, Some(GONE_SECONDS)).await?,
        sla_events: super::past::samples(promises),
        interventions,
        oldest_intervention,
        held: (hops.cast_unsigned(), waiting.cast_unsigned()),
        notifications,
        oldest_notification,
        retention: sqlx::query_as(RETENTION)
            .bind(kept.source.as_secs_f64())
            .bind(kept.result.as_secs_f64())
            .fetch_optional(&mut *tx)
            .await?,
        unswept: sqlx::query_as(UNSWEPT).fetch_optional(&mut *tx).await?,
        saved_bytes: sqlx::query_scalar::<_, i64>(SAVED_BYTES).fetch_one(&mut *tx).await?.cast_unsigned(),
        canary: sqlx::query_as(CANARY).fetch_optional(&mut *tx).await?,
        ..Metrics::default()
    })
}

/// What [`OPEN`] gives.
struct Open(Vec<Sample>);

impl Open {
    /// The rows about something, with so many labels.
    fn of(&self, what: &str, labels: usize) -> Vec<Sample> {
        let rows = self.0.iter().filter(|row| row.labels.first().is_some_and(|first| first == what));
        rows.map(|row| Sample { labels: row.labels[1..=labels].to_vec(), value: row.value }).collect()
    }

    /// The one figure about something, if there is one.
    fn one(&self, what: &str) -> Option<f64> {
        self.of(what, 0).first().map(|sample| sample.value)
    }
}

/// Rows of labels, and a figure behind them.
async fn samples(
    connection: &mut PgConnection,
    sql: &'static str,
    seconds: Option<f64>,
) -> Result<Vec<Sample>, LedgerError> {
    let query = sqlx::query(sql);
    let query = if let Some(seconds) = seconds { query.bind(seconds) } else { query };
    let rows = query.fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let last = row.len().saturating_sub(1);
            Ok(Sample { labels: labels(row, last)?, value: row.try_get(last)? })
        })
        .collect()
}

/// Rows of one label, how many there are, and since when.
async fn counted_since(
    connection: &mut PgConnection,
    sql: &'static str,
) -> Result<(Vec<Sample>, Vec<Sample>), LedgerError> {
    let rows: Vec<(String, f64, f64)> = sqlx::query_as(sql).fetch_all(connection).await?;
    Ok(rows
        .into_iter()
        .map(|(label, count, since)| {
            let sample = |value| Sample { labels: vec![label.clone()], value };
            (sample(count), sample(since))
        })
        .unzip())
}
