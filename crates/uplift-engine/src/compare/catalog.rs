//! What a database consists of, but for its rows: one query for each kind of object. Each gives a name and a
//! definition; what an extension brings along is the extension's.

/// A kind of object.
pub(super) struct Kind {
    /// What it is called in a message.
    pub(super) name: &'static str,
    /// Its query, which may use [`PRELUDE`].
    pub(super) query: &'static str,
}

/// `space`: the customer's schemas. `brought`: what belongs to an extension. `heir`: a table that inherits another's
/// columns. A column that its parent got after the heir was made stands last in it; restored from a dump, it stands
/// where the parent has it. Partitions keep their order.
pub(super) const PRELUDE: &str = r"
WITH space AS (
    SELECT oid, nspname FROM pg_namespace
     WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_(toast|temp)'
), brought AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), relation AS (
    SELECT c.*, format('%I.%I', s.nspname, c.relname) AS called,
           NOT relispartition AND EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid) AS heir
      FROM pg_class c JOIN space s ON s.oid = c.relnamespace
     WHERE NOT EXISTS (SELECT FROM brought b WHERE b.classid = 'pg_class'::regclass AND b.objid = c.oid)
)
";

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "schema", query: "SELECT nspname, '' FROM space" },
    Kind {
        name: "extension",
        query: "SELECT extname, concat_ws(' ', extversion, extnamespace::regnamespace) FROM pg_extension",
    },
    Kind {
        name: "relation",
        query: "SELECT called, concat_ws(' ', relkind, relpersistence, reloptions, relrowsecurity,
                       relforcerowsecurity, relreplident, pg_get_partkeydef(oid), pg_get_expr(relpartbound, oid),
                       (SELECT string_agg(inhparent::regclass::text, ',' ORDER BY inhseqno)
                          FROM pg_inherits WHERE inhrelid = r.oid),
                       CASE WHEN relkind = 'm' THEN relispopulated END,
                       CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END)
                  FROM relation r WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'c')",
    },
    Kind {
        name: "column",
        query: "SELECT format('%s.%I', called, attname),
                       concat_ws(' ', CASE WHEN NOT heir THEN row_number() OVER (PARTITION BY attrelid ORDER BY attnum) END,
                                 format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, attstorage,
                                 attcollation::regcollation,
                                 -- Minor releases keep their own notes here, under names that begin with pg_.
                                 (SELECT array_agg(o ORDER BY o) FROM unnest(attoptions) o WHERE o !~ '^pg_'),
                                 pg_get_expr(d.adbin, d.adrelid))
                  FROM relation r
                  JOIN pg_attribute a ON a.attrelid = r.oid AND attnum > 0 AND NOT attisdropped
                  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                 WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'c')",
    },
    Kind {
        name: "constraint",
        query: "SELECT format('%s.%I', coalesce(r.called, k.contypid::regtype::text), conname),
                       concat_ws(' ', pg_get_constraintdef(k.oid), convalidated)
                  FROM pg_constraint k JOIN space s ON s.oid = k.connamespace
                  LEFT JOIN relation r ON r.oid = k.conrelid
                 WHERE contype <> 't'",
    },
    Kind {
        name: "index",
        query: "SELECT called, concat_ws(' ', pg_get_indexdef(i.indexrelid), indisvalid, indisclustered,
                                         indisreplident)
                  FROM pg_index i JOIN relation r ON r.oid = i.indexrelid",
    },
    Kind {
        name: "sequence",
        query: "SELECT called, concat_ws(' ', seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache,
                                         seqcycle, deptype, refobjid::regclass, refobjsubid <> 0)
                  FROM pg_sequence q JOIN relation r ON r.oid = q.seqrelid
                  LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = r.oid
                                       AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')",
    },
    Kind {
        name: "trigger",
        query: "SELECT format('%s.%I', called, tgname), concat_ws(' ', pg_get_triggerdef(t.oid), tgenabled)
                  FROM pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE NOT tgisinternal",
    },
    Kind {
        name: "rule",
        query: "SELECT format('%s.%I', called, rulename), concat_ws(' ', pg_get_ruledef(u.oid), ev_enabled)
                  FROM pg_rewrite u JOIN relation r ON r.oid = u.ev_class WHERE rulename <> '_RETURN'",
    },
    Kind {
        name: "policy",
        query: "SELECT format('%s.%I', called, polname),
                       concat_ws(' ', polcmd, polpermissive, pg_get_expr(polqual, polrelid),
                                 pg_get_expr(polwithcheck, polrelid))
                  FROM pg_policy p JOIN relation r ON r.oid = p.polrelid",
    },
    Kind {
        name: "statistics",
        query: "SELECT format('%I.%I', nspname, stxname), pg_get_statisticsobjdef(x.oid)
                  FROM pg_statistic_ext x JOIN space s ON s.oid = x.stxnamespace",
    },
    Kind {
        name: "function",
        query: "SELECT p.oid::regprocedure::text,
                       CASE WHEN prokind <> 'a' THEN pg_get_functiondef(p.oid)
                            ELSE (SELECT concat_ws(' ', aggkind, aggtransfn, aggfinalfn, aggcombinefn, aggserialfn,
                                                   aggdeserialfn, aggmtransfn, aggminvtransfn, aggmfinalfn,
                                                   aggtranstype::regtype, agginitval, aggsortop::regoper)
                                    FROM pg_aggregate WHERE aggfnoid = p.oid) END
                  FROM pg_proc p JOIN space s ON s.oid = p.pronamespace
                 WHERE NOT EXISTS (SELECT FROM brought b WHERE b.classid = 'pg_proc'::regclass AND b.objid = p.oid)",
    },
    Kind {
        name: "type",
        query: "SELECT t.oid::regtype::text,
                       concat_ws(' ', typtype, format_type(typbasetype, typtypmod), typnotnull, typdefault,
                                 typcollation::regcollation,
                                 (SELECT string_agg(quote_literal(enumlabel), ',' ORDER BY enumsortorder)
                                    FROM pg_enum WHERE enumtypid = t.oid),
                                 (SELECT format_type(rngsubtype, NULL) FROM pg_range WHERE rngtypid = t.oid))
                  FROM pg_type t JOIN space s ON s.oid = t.typnamespace
                 WHERE typtype IN ('b', 'd', 'e', 'r') AND typcategory <> 'A'
                   AND NOT EXISTS (SELECT FROM brought b WHERE b.classid = 'pg_type'::regclass AND b.objid = t.oid)",
    },
    Kind {
        name: "object",
        query: "SELECT concat_ws(' ', i.type, i.identity), ''
                  FROM (SELECT tableoid AS class, oid FROM pg_cast
                         UNION ALL SELECT tableoid, oid FROM pg_operator
                         UNION ALL SELECT tableoid, oid FROM pg_opclass
                         UNION ALL SELECT tableoid, oid FROM pg_opfamily
                         UNION ALL SELECT tableoid, oid FROM pg_collation
                         UNION ALL SELECT tableoid, oid FROM pg_conversion
                         UNION ALL SELECT tableoid, oid FROM pg_ts_config
                         UNION ALL SELECT tableoid, oid FROM pg_ts_dict) o,
                       pg_identify_object(class, oid, 0) i
                 WHERE oid >= 16384
                   AND NOT EXISTS (SELECT FROM brought b WHERE b.classid = class AND b.objid = oid)",
    },
    // Restore leaves comments on extensions to the extensions.
    Kind {
        name: "comment",
        query: "SELECT concat_ws(' ', i.type, i.identity), description
                  FROM pg_description d, pg_identify_object(classoid, objoid, objsubid) i
                 WHERE (objoid >= 16384 OR classoid = 'pg_namespace'::regclass)
                   AND classoid <> 'pg_extension'::regclass",
    },
    Kind {
        name: "large object",
        query: "SELECT oid::text, md5(lo_get(oid)) FROM pg_largeobject_metadata",
    },
];
