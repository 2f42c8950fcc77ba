//! A small upgrade by the engine's commands, and the ways in which a step fails.

use uplift_core::{
    Failure, Format,
    event::{Event, Health},
    failure::ScriptFailure,
    pack::{Compare, ReconcileQuery},
    plan::{Action, Apply, Dump, Plan, Script, Step},
};

use crate::{
    cluster::Cluster,
    engine::{Run, dump_as, engine, prove, restore_unknown},
};

const DUMP: &str = "--\n-- PostgreSQL database dump\n--\nCREATE TABLE public.partner (id integer NOT NULL, name text, \
                    state character varying);\nCOPY public.partner (id, name, state) FROM stdin;\n1\tAnna\ta\n\
                    2\tBert\tb\n\\.\n\n--\n-- PostgreSQL database dump complete\n--\n";

fn step(text: &str, action: Action) -> Step {
    let script = Script { file: "1-2/10-x.sql".into(), text: text.into() };
    Step { id: "1-2/x".into(), script, action, checkpoint: false, timeout_seconds: 60 }
}

fn sql(text: &str) -> Step {
    step(text, Action::Sql { transaction: true })
}

fn apply(cluster: &Cluster, steps: Vec<Step>) -> Run {
    engine(Some(cluster), &Plan::Apply(Apply { steps, checkpoint: None }), b"")
}

#[track_caller]
fn script_failure(run: &Run) -> &ScriptFailure {
    assert_eq!(run.code, 66, "{:?}", run.events);
    match run.failure() {
        Failure::ScriptFailed(failure) => failure,
        failure => panic!("{failure:?}"),
    }
}

#[test]
fn a_hop_runs_step_by_step_and_its_result_proves() {
    let cluster = Cluster::start();
    restore_unknown(&cluster, DUMP.as_bytes()).rejection();
    let split = "-- split\nCREATE TABLE contact (id serial PRIMARY KEY, name text,\n    state character varying CHECK \
                 (state IN ('a', 'b')));\nINSERT INTO contact (name, state) SELECT name, state FROM partner;\n\
                 COPY contact (name) FROM stdin;\nCleo\n\\.\n\
                 DO $$ BEGIN RAISE NOTICE 'half; done'; END $$;\nALTER TABLE partner DROP COLUMN state;\n\
                 -- A dump moves the late column of the heir before its own one.\n\
                 CREATE TABLE action (id integer);\nCREATE TABLE report (file text) INHERITS (action);\n\
                 INSERT INTO report VALUES (1, 'x');\nALTER TABLE action ADD COLUMN late date DEFAULT '2026-01-01'";
    let check = Action::Check { message: "contacts without a name".into() };
    let run = apply(
        &cluster,
        vec![sql(split), step("-- fine\nSELECT * FROM contact WHERE name IS NULL; -- none", check)],
    );
    run.done();
    let done: Vec<_> = run
        .events
        .iter()
        .filter_map(
            |event| if let Event::StepDone(done) = event { Some((done.rows, done.notices)) } else { None },
        )
        .collect();
    assert_eq!(done, [(4, 1), (0, 0)]);

    let reconcile = ReconcileQuery {
        name: "names".into(),
        title: "Names".into(),
        compare: Compare::Equal,
        requires: vec!["contact".into()],
        query: "SELECT state, count(*) FROM contact GROUP BY 1;".into(),
    };
    let missing =
        ReconcileQuery { name: "none".into(), requires: vec!["no_table".into()], ..reconcile.clone() };
    let neutralize = Script {
        file: "neutralize.sql".into(),
        text: "UPDATE contact SET name = 'x'; SELECT setval('contact_id_seq', 1, false)".into(),
    };
    let plan =
        Dump { neutralize: vec![neutralize], reconcile: vec![reconcile, missing], ..dump_as(Format::Gzip) };
    let run = engine(Some(&cluster), &Plan::Dump(plan), b"");
    run.done();
    let invariants =
        run.find(|event| if let Event::Reconciled { invariants } = event { Some(invariants) } else { None });
    let item = |label: &str, value: &str| (label.to_owned(), value.to_owned());
    assert_eq!(invariants[0].items, [item("a", "1"), item("b", "1"), item("", "1")]);
    assert_eq!(invariants[1].skipped.as_deref(), Some("the database has no no_table"));
    let health = run.find(|event| if let Event::Health(health) = event { Some(health) } else { None });
    let behind = vec!["public.contact_id_seq".to_owned()];
    assert_eq!(*health, Health { sequences_behind: behind, ..Health::default() });
    prove(&cluster, &run.stdout).done();
    assert_eq!(cluster.sql("work", "SELECT string_agg(DISTINCT name, ',') FROM contact"), "x");
}

#[test]
fn a_step_that_fails_is_known_by_line_and_leaves_nothing() {
    let cluster = Cluster::start();
    restore_unknown(&cluster, DUMP.as_bytes()).rejection();
    let run = apply(
        &cluster,
        vec![sql("UPDATE partner SET name = 'x';\n\n-- here\nSELECT 1,\n  2 / 0,\n  nothing;\nSELECT 1")],
    );
    let failure = script_failure(&run);
    assert_eq!((failure.step.as_str(), failure.file.as_deref()), ("1-2/x", Some("1-2/10-x.sql")));
    assert_eq!((failure.line, failure.sqlstate.as_deref()), (Some(6), Some("42703")));
    assert_eq!(failure.statement.as_deref(), Some("SELECT 1,\n  2 / 0,\n  nothing;"));
    assert_eq!(cluster.sql("work", "SELECT count(*) FROM partner WHERE name = 'x'"), "0");

    let check = Action::Check { message: "partners must be named Cleo".into() };
    let run =
        apply(&cluster, vec![step("\nSELECT id, name FROM partner WHERE name <> 'Cleo'", check.clone())]);
    let failure = script_failure(&run);
    assert_eq!((failure.message.as_str(), failure.line), ("partners must be named Cleo", Some(2)));
    assert_eq!(failure.detail.as_deref(), Some("id=1, name=Anna\nid=2, name=Bert"));

    let full = "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'disk_full'; END $$";
    assert_eq!(script_failure(&apply(&cluster, vec![sql(full)])).sqlstate.as_deref(), Some("53100"));

    let run = apply(&cluster, vec![step("UPDATE partner SET name = 'y' RETURNING 1", check)]);
    assert!(script_failure(&run).sqlstate.is_some());
    for (text, part) in [
        ("SELECT 1;\nCOMMIT;", "must not begin or end one"),
        ("SELECT 'a", "in the middle of a quoted string"),
        ("\\i other.sql", "command of psql"),
        ("SELECT 1 \\gset", "command of psql"),
        ("COPY partner FROM PROGRAM 'id'", "external program"),
        ("COPY partner TO STDOUT", "nowhere to write"),
        ("ALTER SYSTEM SET fsync = on", "cannot run inside a transaction block"),
    ] {
        let run = apply(&cluster, vec![sql(text)]);
        assert!(script_failure(&run).message.contains(part), "{text}: {:?}", run.failure());
    }
}

#[test]
fn steps_do_not_hear_of_each_others_settings_and_end_in_time() {
    let cluster = Cluster::start();
    restore_unknown(&cluster, DUMP.as_bytes()).rejection();
    let spoil = "ALTER ROLE tenant SET search_path = nowhere; ALTER ROLE tenant SET default_transaction_read_only = on;
                 SET search_path = nowhere";
    let alone = step("UPDATE partner SET name = 'y'; COMMIT; SELECT 1", Action::Sql { transaction: false });
    apply(&cluster, vec![sql(spoil), sql("UPDATE partner SET name = 'x'"), alone]).done();
    assert_eq!(cluster.sql("work", "SELECT DISTINCT name FROM partner"), "y");

    let mut slow = sql(
        "DO $$ BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(1000); END $$",
    );
    slow.timeout_seconds = 1;
    let run = apply(&cluster, vec![slow]);
    assert_eq!(run.code, 70);
    assert_eq!(run.failure(), &Failure::DeadlinePassed { place: "1-2/x".into(), seconds: 1 });
}
