//! The comparison that other tests rely on sees what it has to see.

use uplift_tests::{compare::differences, postgres::Database};

const OBJECTS: &str = "
    CREATE EXTENSION citext;
    CREATE TYPE kind AS ENUM ('a', 'b');
    CREATE DOMAIN code AS varchar(2) CHECK (VALUE <> '');
    CREATE TABLE parent (id serial PRIMARY KEY, name varchar NOT NULL DEFAULT 'x', kind kind);
    CREATE TABLE child (parent_id integer REFERENCES parent, amount numeric CHECK (amount > 0));
    CREATE INDEX by_amount ON child (amount);
    CREATE TABLE action (id integer);
    CREATE TABLE report (file text) INHERITS (action);
    INSERT INTO parent (name) VALUES ('one'), ('two');
    INSERT INTO child VALUES (1, 1.50), (2, 2);
    INSERT INTO report VALUES (1, 'r');
    CREATE VIEW both_of_them AS SELECT name, amount FROM parent JOIN child ON parent_id = id;
    CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER keep BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION keep();
    COMMENT ON COLUMN parent.name IS 'Name';
    COMMENT ON CONSTRAINT child_amount_check ON child IS 'Positive';
    CREATE SCHEMA apart;
    CREATE TABLE apart.far (id integer);
    INSERT INTO apart.far VALUES (1);
    SELECT lo_from_bytea(4711, 'blob');";

/// Each is one difference, in the aspect named.
const CHANGES: [(&str, &str); 27] = [
    ("contents", "UPDATE parent SET name = 'tow' WHERE name = 'two'"),
    ("contents", "UPDATE child SET amount = 1.5 WHERE parent_id = 1"),
    ("contents", "INSERT INTO child SELECT * FROM child LIMIT 1"),
    ("contents", "UPDATE parent SET kind = 'b' WHERE id = 1"),
    ("contents", "UPDATE report SET file = 's'"),
    ("contents", "UPDATE apart.far SET id = 2"),
    ("contents", "SELECT nextval('parent_id_seq')"),
    ("large objects", "SELECT lo_put(4711, 0, 'B')"),
    ("columns", "ALTER TABLE parent ALTER COLUMN name DROP NOT NULL"),
    ("columns", "ALTER TABLE parent ALTER COLUMN name SET DEFAULT 'y'"),
    ("columns", "ALTER TABLE apart.far ALTER COLUMN id TYPE bigint"),
    ("constraints", "ALTER TABLE child DROP CONSTRAINT child_parent_id_fkey"),
    ("constraints", "ALTER DOMAIN code ADD CONSTRAINT short CHECK (length(VALUE) < 2)"),
    ("indexes", "CREATE INDEX another ON child (parent_id)"),
    ("indexes", "ALTER TABLE child CLUSTER ON by_amount"),
    ("sequences", "ALTER SEQUENCE parent_id_seq CACHE 7"),
    ("comments", "COMMENT ON COLUMN parent.name IS 'name'"),
    ("comments", "COMMENT ON CONSTRAINT child_amount_check ON child IS NULL"),
    ("comments", "COMMENT ON FUNCTION one() IS 'One'"),
    ("comments", "COMMENT ON TYPE kind IS 'Kind'"),
    ("comments", "COMMENT ON TRIGGER keep ON child IS 'Keep'"),
    ("extensions", "ALTER EXTENSION citext SET SCHEMA apart"),
    (
        "views",
        "CREATE OR REPLACE VIEW both_of_them AS SELECT name, amount FROM parent JOIN child ON parent_id = id WHERE true",
    ),
    ("functions", "CREATE OR REPLACE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 2'"),
    ("triggers", "ALTER TABLE child DISABLE TRIGGER keep"),
    ("types", "ALTER TYPE kind ADD VALUE 'c'"),
    ("relations", "ALTER TABLE child SET (fillfactor = 50)"),
];

#[tokio::test]
async fn two_databases_are_told_apart_by_any_one_change() {
    let original = Database::create("original").await;
    original.psql_command(OBJECTS);
    let same = original.copy().await;
    assert_eq!(differences(&original, &same).await, Vec::<String>::new());
    same.remove().await;
    let mut wrong = Vec::new();
    for (aspect, change) in CHANGES {
        let other = original.copy().await;
        other.psql_command(change);
        let found = differences(&original, &other).await;
        let named = found.iter().all(|line| line.starts_with(&format!("{aspect} ")));
        if found.is_empty() || !named {
            wrong.push(format!("{change}: {found:?}"));
        }
        other.remove().await;
    }
    original.remove().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A dump moves what a parent got late before what its heir has of its own.
#[tokio::test]
async fn a_heir_is_the_same_with_its_columns_in_another_order() {
    let folder = tempfile::tempdir().unwrap();
    let original = Database::create("original").await;
    original.psql_command(OBJECTS);
    original.psql_command("ALTER TABLE action ADD COLUMN late date DEFAULT '2026-01-01'");
    let dump = folder.path().join("dump.sql");
    original.dump(&dump);
    let restored = Database::create("restored").await;
    restored.restore(&dump);
    assert_eq!(original.value("SELECT r FROM report r").await, "(1,r,2026-01-01)");
    assert_eq!(restored.value("SELECT r FROM report r").await, "(1,2026-01-01,r)");
    assert_eq!(differences(&original, &restored).await, Vec::<String>::new());
    restored.psql_command("UPDATE report SET late = '2026-01-02'");
    assert_eq!(differences(&original, &restored).await.len(), 2, "of the heir and of its parent");
    original.remove().await;
    restored.remove().await;
}
