//! The state before a step: copied where the step commits by itself, and dumped where it has failed.

use uplift_core::{
    Failure,
    event::{Checkpointed, Event},
    plan::{Action, Apply, Checkpoint, Kept, Plan, Script, Step},
};

use crate::{
    cluster::Cluster,
    engine::{Run, engine, restore_unknown},
};

const DUMP: &str = "--\n-- PostgreSQL database dump\n--\nCREATE TABLE public.partner (id integer NOT NULL, name text);\n\
                    COPY public.partner (id, name) FROM stdin;\n1\tAnna\n\\.\n\n--\n\
                    -- PostgreSQL database dump complete\n--\n";

fn step(name: &str, text: &str, action: Action, checkpoint: bool) -> Step {
    let script = Script { file: format!("1-2/{name}.sql"), text: text.into() };
    Step { id: format!("1-2/{name}"), script, action, checkpoint, timeout_seconds: 60 }
}

fn apply(cluster: &Cluster, steps: Vec<Step>, checkpoint: Option<&str>) -> Run {
    let checkpoint = checkpoint.map(str::to_owned);
    engine(Some(cluster), &Plan::Apply(Apply { steps, checkpoint }), b"")
}

fn copied(run: &Run) -> Vec<&Checkpointed> {
    let copied = run.events.iter().filter_map(|event| match event {
        Event::Checkpointed(copied) => Some(copied),
        _ => None,
    });
    copied.collect()
}

/// What a state that was dumped holds, restored into a database of its own.
fn names(cluster: &Cluster, dump: &[u8]) -> String {
    cluster.create_database("seen");
    cluster.restore_archive("seen", dump);
    let names = cluster.sql("seen", "SELECT string_agg(name, ',' ORDER BY id) FROM partner");
    cluster.sql("control", "DROP DATABASE seen");
    names
}

#[test]
fn what_commits_by_itself_is_undone_by_its_copy_and_all_else_by_itself() {
    let cluster = Cluster::start();
    restore_unknown(&cluster, DUMP.as_bytes()).rejection();
    let by_itself = Action::Sql { transaction: false };
    let half = "INSERT INTO partner VALUES (3, 'half'); SELECT 1 / 0";
    let run = apply(
        &cluster,
        vec![
            step("first", "INSERT INTO partner VALUES (2, 'Bert')", Action::Sql { transaction: true }, false),
            step("breaks", half, by_itself, true),
        ],
        None,
    );
    assert_eq!(run.code, 66);
    let [copy] = copied(&run)[..] else { panic!("{:?}", run.events) };
    assert!(copy.step == "1-2/breaks" && copy.bytes > 1 << 20, "{copy:?}");
    assert_eq!(cluster.sql("work", "SELECT count(*) FROM partner"), "3", "it has done half of its work");

    let saved = engine(Some(&cluster), &Plan::Checkpoint(Checkpoint { state: Kept::Copy }), b"");
    saved.done();
    assert!(saved.stdout.starts_with(b"PGDMP"));
    assert_eq!(names(&cluster, &saved.stdout), "Anna,Bert");

    // The copy has taken the database's place, and what is rolled back leaves it as it is.
    let run = apply(&cluster, vec![step("breaks", half, Action::Sql { transaction: true }, false)], None);
    assert_eq!(run.code, 66);
    let saved = engine(Some(&cluster), &Plan::Checkpoint(Checkpoint { state: Kept::Work }), b"");
    saved.done();
    assert_eq!(names(&cluster, &saved.stdout), "Anna,Bert");
}

#[test]
fn there_is_one_copy_and_a_dump_needs_none() {
    let cluster = Cluster::start();
    restore_unknown(&cluster, DUMP.as_bytes()).rejection();
    // A session that lingers is ended: the copy would wait for it for ever.
    let lingering = cluster.linger("work");
    for run in ["1-2/one", "1-2/two"] {
        let done = apply(&cluster, Vec::new(), Some(run));
        done.done();
        assert_eq!(copied(&done)[0].step, run);
    }
    drop(lingering);
    let copies = "SELECT count(*) FROM pg_database WHERE datname = 'checkpoint'";
    assert_eq!(cluster.sql("control", copies), "1");
    let tenant = cluster.sql_as("tenant", "checkpoint", "SELECT 1");
    assert!(tenant.unwrap_err().contains("pg_hba.conf"), "whoever is upgraded can reach the copy");
    engine(Some(&cluster), &Plan::Dump(crate::engine::dump_as(uplift_core::Format::Plain)), b"").done();
    assert_eq!(cluster.sql("control", copies), "0");
}

#[test]
fn a_hop_that_leads_elsewhere_has_not_arrived() {
    let cluster = Cluster::start();
    restore_unknown(&cluster, DUMP.as_bytes()).rejection();
    let arrive = |query: &str| {
        let version = "2.0".parse().unwrap();
        apply(&cluster, vec![step("arrived", query, Action::Arrive { version }, false)], None)
    };
    arrive("SELECT '2.0'").done();
    for (query, found) in
        [("SELECT '1.0'", "version 1.0"), ("SELECT '2.0' FROM generate_series(1, 2)", "no version")]
    {
        let run = arrive(query);
        match run.failure() {
            Failure::ScriptFailed(failure) => assert!(failure.message.contains(found), "{failure:?}"),
            failure => panic!("{failure:?}"),
        }
    }
}
