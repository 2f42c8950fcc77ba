//! What packs ask of a database, and what the engine asks itself, however the customer's own code looks.

use uplift_core::{
    Failure, Format,
    event::{Detected, Event, Level},
    pack::{Compare, Detect, Preflight, Probes, Reconcile},
    plan::Plan,
};

use crate::{
    cluster::Cluster,
    engine::{Run, dump_as, engine, prove, restore},
    refused::dump,
};

const BODY: &str = "CREATE TABLE public.meta (key text, value text);\nCOPY public.meta (key, value) FROM stdin;\n\
                    version\t17.0\nname\tAcme\n\\.\n";

fn pack(product: &str, version: &str) -> Probes {
    Probes {
        product: product.into(),
        detect: Detect {
            requires: vec!["public.meta".into()],
            version: version.into(),
            identity: None,
            modules: None,
        },
        reconcile: Vec::new(),
        preflight: Vec::new(),
        manifest: None,
    }
}

fn good() -> Probes {
    pack("good", "SELECT value FROM meta WHERE key = 'version'; ")
}

#[track_caller]
fn detected(run: &Run) -> &Detected {
    run.done();
    run.find(|event| if let Event::Detected(detected) = event { Some(detected) } else { None })
}

fn warnings(run: &Run) -> Vec<&str> {
    let warning = |event| match event {
        &Event::Log { level: Level::Warning, ref text } => Some(text.as_str()),
        _ => None,
    };
    run.events.iter().filter_map(warning).collect()
}

#[test]
fn a_pack_whose_query_fails_does_not_recognise_the_database() {
    let cluster = Cluster::start();
    let dump = dump(BODY);
    for (version, why) in [
        ("SELECT no_column FROM meta", Some("SQLSTATE 42703")),
        ("SELECT 1 / 0", Some("SQLSTATE 22012")),
        ("SELECT value FROM meta WHERE key = 'name' -- Acme is none", Some("is no version")),
        ("SELECT repeat('1', 1000)", Some("is no version")),
        ("SELECT rpad('1', 50) || '2'", Some("is no version")),
        ("SELECT '1' FROM generate_series(1, 3)", Some("more than one row")),
        ("SELECT NULL", None),
        ("SELECT '1' WHERE false", None),
    ] {
        let mut bad = pack("bad", version);
        // Would fail if it were asked.
        bad.detect.identity = Some("SELECT 1 / 0".into());
        let run = restore(&cluster, dump.as_bytes(), vec![bad, good()]);
        assert_eq!((detected(&run).product.as_str(), detected(&run).version.as_str()), ("good", "17.0"));
        let said: Vec<_> =
            warnings(&run).into_iter().filter(|text| text.starts_with("the pack of bad ")).collect();
        assert_eq!(said.len(), usize::from(why.is_some()), "{version}: {said:?}");
        assert!(said.iter().all(|text| text.contains(why.unwrap()) && !text.contains("Acme")), "{said:?}");
    }
    let mut twin = good();
    twin.detect.identity = Some("SELECT 1 / 0".into());
    let run = restore(&cluster, dump.as_bytes(), vec![good(), twin]);
    let Failure::Infrastructure { place, message } = run.failure() else { panic!("{:?}", run.failure()) };
    assert_eq!(place, "detect");
    assert!(message.contains("more than one pack"), "{message}");
}

#[test]
fn answers_have_bounds() {
    let cluster = Cluster::start();
    let mut pack = good();
    pack.preflight.push(Preflight {
        name: "names".into(),
        query: "SELECT FROM meta WHERE key = 'name' -- a comment".into(),
        meaning: "it has a name".into(),
        mend: None,
        requires: Vec::new(),
        fatal: None,
        hop: None,
    });
    let reconcile = |query: &str| Reconcile {
        name: "all".into(),
        title: "All".into(),
        compare: Compare::Equal,
        requires: Vec::new(),
        queries: [("1.0".parse().unwrap(), query.to_owned())].into(),
    };
    let items =
        |query: &str| {
            let mut pack = pack.clone();
            pack.detect.identity = Some("SELECT repeat('x', 200)".into());
            pack.reconcile.push(reconcile(query));
            let run = restore(&cluster, dump(BODY).as_bytes(), vec![pack]);
            assert_eq!(detected(&run).identity.as_deref(), Some(&*"x".repeat(200)));
            let rows =
                run.find(|event| if let Event::Preflight(found) = event { Some(found.rows) } else { None });
            assert_eq!(rows, 1);
            run.find(|event| {
                if let Event::Reconciled { invariants } = event { Some(invariants.clone()) } else { None }
            })
            .remove(0)
            .items
        };
    assert_eq!(items("SELECT n, 1 FROM generate_series(1, 100000) n").len(), 100_000);
    let many = items("SELECT n, 1 FROM generate_series(1, 100001) n -- many");
    assert_eq!((many.len(), &many[0]), (2, &("rows".to_owned(), "100001".to_owned())));
    assert_eq!((many[1].0.as_str(), many[1].1.len()), ("sha256", 64));
    assert_eq!(items("SELECT n, 1 FROM generate_series(100001, 1, -1) n"), many);
    assert_ne!(items("SELECT n, n / 100001 FROM generate_series(1, 100001) n"), many);

    pack.detect.identity = Some("SELECT repeat('x', 201)".into());
    pack.detect.modules = Some("SELECT n, 1 FROM generate_series(1, 100010) n".into());
    let run = restore(&cluster, dump(BODY).as_bytes(), vec![pack]);
    assert_eq!((&detected(&run).identity, detected(&run).modules.len()), (&None, 100_000));
    assert!(warnings(&run).iter().any(|text| text.contains("identity")));
}

/// Overloads in the customer's schema that fit better than Postgres's own, each of which raises. The dump itself
/// searches no schema, as those of `pg_dump`.
const HOSTILE: &str = "
CREATE FUNCTION public.raise() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hostile'; END $$;
CREATE FUNCTION public.quote_ident(name) RETURNS text LANGUAGE sql AS 'SELECT public.raise()';
CREATE FUNCTION public.format(text, name, name) RETURNS text LANGUAGE sql AS 'SELECT public.raise()';
CREATE FUNCTION public.concat_ws(text, name) RETURNS text LANGUAGE sql AS 'SELECT public.raise()';
CREATE FUNCTION public.joined(name, name) RETURNS text LANGUAGE sql AS 'SELECT public.raise()';
CREATE FUNCTION public.joined(name, text) RETURNS text LANGUAGE sql AS 'SELECT public.raise()';
CREATE FUNCTION public.same(name, text) RETURNS boolean LANGUAGE sql AS 'SELECT public.raise() IS NULL';
CREATE OPERATOR public.|| (LEFTARG = name, RIGHTARG = name, FUNCTION = public.joined);
CREATE OPERATOR public.|| (LEFTARG = name, RIGHTARG = text, FUNCTION = public.joined);
CREATE OPERATOR public.<> (LEFTARG = name, RIGHTARG = text, FUNCTION = public.same);
";

#[test]
fn the_engines_own_queries_see_none_of_the_customers_functions() {
    let cluster = Cluster::start();
    let own = "CREATE TABLE public.\"odd Name\" (id serial, state character varying);\n\
               INSERT INTO public.\"odd Name\" (id) VALUES (7);\n\
               ALTER TABLE public.\"odd Name\" ADD CONSTRAINT late CHECK (id < 0) NOT VALID;\n";
    let run = restore(&cluster, dump(&format!("{BODY}{own}{HOSTILE}")).as_bytes(), vec![good()]);
    run.done();
    let raised = "SELECT public.quote_ident(relname) FROM pg_class LIMIT 1";
    let psql = cluster.psql("work").args(["-c", raised]).output().unwrap();
    assert!(String::from_utf8_lossy(&psql.stderr).contains("hostile"));
    let tables = |run: &Run| -> Vec<_> {
        let tables =
            run.find(|event| if let Event::Tables { tables } = event { Some(tables.clone()) } else { None });
        tables.into_iter().map(|table| (table.name, table.rows)).collect()
    };
    let both = [("public.meta".to_owned(), 2), ("public.odd Name".to_owned(), 1)];
    assert_eq!(tables(&run), both);

    let run = engine(Some(&cluster), &Plan::Dump(dump_as(Format::Plain)), b"");
    run.done();
    assert_eq!(tables(&run), both);
    let health = run.find(|event| if let Event::Health(health) = event { Some(health) } else { None });
    assert_eq!(health.invalid_constraints, ["public.odd Name.late"]);
    assert_eq!(health.sequences_behind, ["public.odd Name_id_seq"]);
    prove(&cluster, &run.stdout).done();
}
