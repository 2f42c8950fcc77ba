-- Claims side by side: an account's cap becomes a rule of an index, so that no claim waits for another one's commit.

-- Which of its account's lanes, 1 to max_running, the request runs in, or ran in last.
ALTER TABLE requests ADD COLUMN lane integer;
-- The cap: two requests of an account never run in one lane. What runs at the time of this migration has none, and
-- is counted.
CREATE UNIQUE INDEX requests_one_per_lane ON requests (account_id, lane) WHERE state = 'running';
DROP INDEX requests_running_of_account;

-- The queue, in the order in which each account's requests are claimed ('production' sorts before 'test').
CREATE INDEX requests_queue ON requests (account_id, purpose, uploaded_at, id) WHERE state = 'queued';
DROP INDEX requests_queued;

-- A renewal changes no indexed column, and finds room for the row's new version beside the old one: it then touches
-- no index at all. Overdue leases are looked for among what runs.
DROP INDEX requests_leases;
ALTER TABLE requests SET (fillfactor = 80);

-- Takes the best claimable request: production first, then the account with the fewest running, then the oldest.
--
-- The query gives the order in which claims that follow one another would take the waiting requests: the nth of an
-- account stands where the account has n - 1 more running. Claims at the same time read the same order; each takes
-- the first request that nobody has locked, and the lane that belongs to its place. So they give what they would give
-- one after another, and none waits.
--
-- Where two of them have read different orders, such as when a request for production came in between, both may want
-- one lane, or one database: an index refuses the second, which looks again.
--
-- Its statements are planned once a session: planning took longer than running them.
CREATE OR REPLACE FUNCTION claim_request(worker uuid, lease_seconds integer, attempt_seconds integer)
RETURNS SETOF requests LANGUAGE plpgsql ROWS 1 SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    -- How many of each account's requests are read: more only where other claims have those in their hands.
    reach          integer := 1;
    next           record;
    -- Where the first one stands that another claim has, and that is the last one read of its account.
    cut_at_purpose text;
    cut_at_turn    bigint;
    claimed        requests;
    refused        text;
BEGIN
    <<look>>
    LOOP
        cut_at_purpose := NULL;
        cut_at_turn := NULL;
        BEGIN
            FOR next IN
                -- The accounts that have something queued: one step through the index for each, however long the
                -- queue is.
                WITH RECURSIVE waiting (account_id) AS (
                    (SELECT account_id FROM requests WHERE state = 'queued' ORDER BY account_id LIMIT 1)
                  UNION ALL
                    SELECT (SELECT account_id FROM requests
                            WHERE state = 'queued' AND account_id > w.account_id ORDER BY account_id LIMIT 1)
                    FROM waiting w WHERE w.account_id IS NOT NULL)
                SELECT line.id, line.purpose, line.place, busy.running + line.place AS turn, busy.lanes
                FROM waiting w
                JOIN accounts a ON a.id = w.account_id
                CROSS JOIN LATERAL (
                    SELECT count(*) AS running, coalesce(array_agg(r.database_id), '{}') AS databases,
                        coalesce(array_agg(r.lane) FILTER (WHERE r.lane IS NOT NULL), '{}') AS lanes
                    FROM requests r WHERE r.account_id = w.account_id AND r.state = 'running') busy
                CROSS JOIN LATERAL (
                    SELECT r.id, r.purpose, r.uploaded_at,
                        row_number() OVER (ORDER BY r.purpose, r.uploaded_at, r.id) AS place
                    FROM requests r
                    WHERE r.account_id = w.account_id AND r.state = 'queued' AND r.not_before <= now()
                      AND r.database_id <> ALL (busy.databases)
                    ORDER BY r.purpose, r.uploaded_at, r.id
                    LIMIT least(a.max_running - busy.running, reach)) line
                WHERE busy.running < a.max_running
                ORDER BY line.purpose, turn, line.uploaded_at, line.id
            LOOP
                -- What was not read of an account comes after all that is level with what was.
                EXIT WHEN (next.purpose, next.turn) > (cut_at_purpose, cut_at_turn);
                PERFORM FROM requests WHERE id = next.id AND state = 'queued' FOR UPDATE SKIP LOCKED;
                IF NOT FOUND THEN
                    IF next.place = reach AND cut_at_turn IS NULL THEN
                        cut_at_purpose := next.purpose;
                        cut_at_turn := next.turn;
                    END IF;
                    CONTINUE;
                END IF;

                UPDATE requests SET
                    state = 'running', epoch = epoch + 1, worker_id = worker,
                    lane = (SELECT free FROM generate_series(1, cardinality(next.lanes) + next.place) free
                            WHERE free <> ALL (next.lanes) ORDER BY free OFFSET next.place - 1 LIMIT 1),
                    lease_until = now() + make_interval(secs => lease_seconds),
                    attempt_until = now() + make_interval(secs => attempt_seconds),
                    started_at = coalesce(started_at, now()),
                    hinted_at = NULL, stage = 'fetch', progress_done = NULL, progress_total = NULL
                WHERE id = next.id
                RETURNING * INTO claimed;
                INSERT INTO attempts (request_id, epoch, worker_id) VALUES (claimed.id, claimed.epoch, worker);
                INSERT INTO audit (actor, action, request_id, detail)
                VALUES ('worker ' || worker, 'claim', claimed.id, jsonb_build_object('epoch', claimed.epoch));
                RETURN NEXT claimed;
                RETURN;
            END LOOP;
            EXIT look WHEN cut_at_turn IS NULL;
            reach := reach * 4;
        EXCEPTION WHEN unique_violation THEN
            GET STACKED DIAGNOSTICS refused = CONSTRAINT_NAME;
            IF refused NOT IN ('requests_one_per_lane', 'requests_one_running') THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END $$;
