//! What restore does with a statement: run it, leave it out, or refuse it. The lists are closed: what they do
//! not name is run as the tenant, and Postgres decides.

use crate::{
    reader::copy::{Source, source},
    token::{Token, Tokens, tokens},
};

/// What becomes of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// It runs.
    Run(Kind<'a>),
    /// It is left out and counted under this name.
    LeaveOut(&'static str),
    /// The dump is refused, with this reason.
    Refuse(&'static str),
}

/// How a statement is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// It defines or fills something, and may share a transaction with others of its kind.
    Plain,
    /// By itself.
    Alone,
    /// It sets a parameter, which this server may not know.
    Setting,
    /// It creates this extension, which this server may not have.
    Extension(&'a str),
    /// It drops something, which may not be there.
    Drop,
    /// It begins a transaction.
    Begin,
    /// It ends one.
    End,
}

pub(crate) const OWNERS: &str = "owners";
pub(crate) const PRIVILEGES: &str = "privileges";
pub(crate) const CLEAN_UP: &str = "clean-up of what is not there";
pub(crate) const DATABASE: &str = "the database itself";
pub(crate) const REPLICATION: &str = "publications and subscriptions";
pub(crate) const EXTENSION_COMMENTS: &str = "comments on extensions";
pub(crate) const SECURITY_LABELS: &str = "security labels";
pub(crate) const LANGUAGES: &str = "languages that are there";
pub(crate) const SCHEMA_PUBLIC: &str = "the schema public";
pub(crate) const TABLESPACES: &str = "tablespaces";
pub(crate) const SETTINGS: &str = "settings unknown to this server";
pub(crate) const EXTENSIONS: &str = "extensions unknown to this server";

const CLUSTER: &str = "This is a statement of pg_dumpall, which dumps a whole cluster. Dump the one database \
                       with `pg_dump`";
const PROGRAM: &str = "COPY with a program is not run. Rows must stand in the dump itself, as pg_dump writes \
                       them";
const FILE: &str = "COPY with a file of the server is not run. Rows must stand in the dump itself, as pg_dump \
                    writes them";
const WRITES: &str = "A COPY that writes has no place in a dump";
const LIBRARY: &str = "LOAD is not run: a dump brings no libraries";
const ENCODING: &str = "A dump in this encoding is not taken. Dump again with `pg_dump --encoding=UTF8`";
const SERVER: &str = "ALTER SYSTEM is not run: a dump does not configure the server";

/// Decides about a statement. `nothing_made` says that the dump has made nothing so far: what it drops then is
/// what `pg_dump --clean` drops from the database that it is restored over.
pub(crate) fn classify(text: &str, standard_strings: bool, nothing_made: bool) -> Verdict<'_> {
    let mut rest = tokens(text, standard_strings);
    let Some(Token::Word(first)) = rest.next() else { return Verdict::Run(Kind::Alone) };
    // No keyword that counts here is longer.
    let mut lower = [0; 8];
    let Some(slot) = lower.get_mut(..first.len()) else { return Verdict::Run(Kind::Alone) };
    slot.copy_from_slice(first.as_bytes());
    slot.make_ascii_lowercase();
    match &*slot {
        b"insert" => Verdict::Run(Kind::Plain),
        b"alter" => alter(rest, nothing_made),
        b"create" => create(rest),
        b"comment" => comment(rest),
        b"copy" => match source(text, standard_strings) {
            Some(Source::Program) => Verdict::Refuse(PROGRAM),
            Some(Source::File) => Verdict::Refuse(FILE),
            Some(Source::Stdin | Source::None) | None => Verdict::Refuse(WRITES),
        },
        b"set" => set(rest),
        b"reset" => match rest.next() {
            Some(token) if token.is("role") || token.is("session") => Verdict::LeaveOut(OWNERS),
            _ => Verdict::Run(Kind::Setting),
        },
        b"grant" | b"revoke" => Verdict::LeaveOut(PRIVILEGES),
        b"security" => Verdict::LeaveOut(SECURITY_LABELS),
        b"drop" => match rest.next() {
            Some(token) if token.is("database") => Verdict::LeaveOut(DATABASE),
            _ if nothing_made => Verdict::LeaveOut(CLEAN_UP),
            _ => Verdict::Run(Kind::Drop),
        },
        b"begin" | b"start" => Verdict::Run(Kind::Begin),
        b"commit" | b"end" | b"rollback" | b"abort" => Verdict::Run(Kind::End),
        b"load" => Verdict::Refuse(LIBRARY),
        b"select" if text.starts_with("SELECT pg_catalog.setval(") => Verdict::Run(Kind::Plain),
        _ => Verdict::Run(Kind::Alone),
    }
}

fn alter(rest: Tokens<'_>, nothing_made: bool) -> Verdict<'_> {
    let Some(Token::Word(what)) = rest.clone().next() else { return Verdict::Run(Kind::Alone) };
    match what.to_ascii_lowercase().as_str() {
        "database" => Verdict::LeaveOut(DATABASE),
        "default" => Verdict::LeaveOut(PRIVILEGES),
        "publication" | "subscription" => Verdict::LeaveOut(REPLICATION),
        "role" | "user" | "group" => Verdict::Refuse(CLUSTER),
        "system" => Verdict::Refuse(SERVER),
        _ if names_owner(rest.clone()) => Verdict::LeaveOut(OWNERS),
        _ if nothing_made && rest.clone().any(|token| token.is("drop")) => Verdict::LeaveOut(CLEAN_UP),
        // A new value of an enumeration cannot be used in the transaction that adds it.
        "type" => Verdict::Run(Kind::Alone),
        _ => Verdict::Run(Kind::Plain),
    }
}

/// `… OWNER TO somebody;`, which is not `… RENAME owner TO something;`.
fn names_owner(rest: Tokens<'_>) -> bool {
    let mut tail = [Token::Sign(';'); 3];
    for token in rest.take_while(|token| *token != Token::Sign(';')) {
        if token.is("rename") {
            return false;
        }
        tail.rotate_left(1);
        tail[2] = token;
    }
    tail[0].is("owner") && tail[1].is("to") && matches!(tail[2], Token::Word(_) | Token::Name(_))
}

fn create(mut rest: Tokens<'_>) -> Verdict<'_> {
    let all = rest.clone();
    let Some(Token::Word(what)) = rest.next() else { return Verdict::Run(Kind::Alone) };
    match what.to_ascii_lowercase().as_str() {
        "database" => Verdict::LeaveOut(DATABASE),
        "publication" | "subscription" => Verdict::LeaveOut(REPLICATION),
        "role" | "group" | "tablespace" => Verdict::Refuse(CLUSTER),
        "user" if !rest.next().is_some_and(|token| token.is("mapping")) => Verdict::Refuse(CLUSTER),
        "extension" => match if_not_exists(rest).next() {
            Some(Token::Word(name) | Token::Name(name)) => Verdict::Run(Kind::Extension(name)),
            _ => Verdict::Run(Kind::Alone),
        },
        "schema" => {
            let mut rest = if_not_exists(rest);
            let public = rest.next().is_some_and(|name| name.is("public"));
            let bare = rest.next() == Some(Token::Sign(';'));
            if public && bare { Verdict::LeaveOut(SCHEMA_PUBLIC) } else { Verdict::Run(Kind::Plain) }
        }
        "or" | "trusted" | "procedural" | "language" if is_plpgsql(&all) => Verdict::LeaveOut(LANGUAGES),
        _ => Verdict::Run(Kind::Plain),
    }
}

/// What stands behind `IF NOT EXISTS`, if that is there.
fn if_not_exists(rest: Tokens<'_>) -> Tokens<'_> {
    let mut behind = rest.clone();
    let there = ["if", "not", "exists"].iter().all(|word| behind.next().is_some_and(|token| token.is(word)));
    if there { behind } else { rest }
}

/// `[OR REPLACE] [TRUSTED] [PROCEDURAL] LANGUAGE plpgsql`, as old dumps have it.
fn is_plpgsql(rest: &Tokens<'_>) -> bool {
    let prelude = ["or", "replace", "trusted", "procedural"];
    let mut rest = rest.clone().skip_while(|token| prelude.iter().any(|word| token.is(word)));
    rest.next().is_some_and(|token| token.is("language"))
        && rest.next().is_some_and(|token| token.is("plpgsql"))
}

fn comment(mut rest: Tokens<'_>) -> Verdict<'_> {
    match (rest.next(), rest.next()) {
        (Some(on), Some(Token::Word(what))) if on.is("on") => match what.to_ascii_lowercase().as_str() {
            "extension" => Verdict::LeaveOut(EXTENSION_COMMENTS),
            "database" => Verdict::LeaveOut(DATABASE),
            "publication" | "subscription" => Verdict::LeaveOut(REPLICATION),
            "language" | "procedural" => Verdict::LeaveOut(LANGUAGES),
            _ => Verdict::Run(Kind::Plain),
        },
        _ => Verdict::Run(Kind::Plain),
    }
}

fn set(mut rest: Tokens<'_>) -> Verdict<'_> {
    let Some(mut name) = rest.next() else { return Verdict::Run(Kind::Alone) };
    if name.is("session") || name.is("local") {
        let Some(next) = rest.next() else { return Verdict::Run(Kind::Alone) };
        if next.is("authorization") {
            return Verdict::LeaveOut(OWNERS);
        }
        name = next;
    }
    if name.is("role") {
        return Verdict::LeaveOut(OWNERS);
    }
    if name.is("transaction") || name.is("constraints") || name.is("characteristics") {
        return Verdict::Run(Kind::Alone);
    }
    let value = rest.nth(1);
    // The server has no tablespace but its own.
    if name.is("default_tablespace") && value.is_some_and(|value| value != Token::Text("''")) {
        return Verdict::LeaveOut(TABLESPACES);
    }
    if name.is("client_encoding") && value.is_some_and(is_treacherous) {
        return Verdict::Refuse(ENCODING);
    }
    Verdict::Run(Kind::Setting)
}

/// Encodings in which a byte that looks like a quote or a backslash may be half of a character.
fn is_treacherous(value: Token<'_>) -> bool {
    let (Token::Text(name) | Token::Name(name) | Token::Word(name)) = value else { return false };
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.to_ascii_lowercase();
    [
        "big5",
        "gbk",
        "gb18030",
        "johab",
        "sjis",
        "shiftjis",
        "uhc",
        "mskanji",
        "windows932",
        "windows936",
        "windows949",
    ]
    .iter()
    .any(|treacherous| name.starts_with(treacherous))
        || ["win932", "win936", "win949", "win950", "windows950"].contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn holds(verdict: Verdict<'static>, texts: &[&'static str]) {
        for text in texts {
            assert_eq!(classify(text, true, false), verdict, "{text}");
        }
    }

    #[test]
    fn what_names_roles_is_left_out() {
        holds(
            Verdict::LeaveOut(OWNERS),
            &[
                "ALTER TABLE public.t OWNER TO odoo;",
                "alter function public.f(a integer, \"b;\" text) owner to \"Odoo Owner\";",
                "ALTER LARGE OBJECT 12 OWNER TO odoo;",
                "SET SESSION AUTHORIZATION 'odoo';",
                "SET ROLE odoo;",
                "RESET SESSION AUTHORIZATION;",
            ],
        );
        holds(
            Verdict::LeaveOut(PRIVILEGES),
            &[
                "GRANT ALL ON TABLE public.t TO odoo;",
                "REVOKE USAGE ON SCHEMA public FROM PUBLIC;",
                "ALTER DEFAULT PRIVILEGES FOR ROLE odoo GRANT SELECT ON TABLES TO reader;",
            ],
        );
    }

    #[test]
    fn what_only_looks_so_is_run() {
        holds(
            Verdict::Run(Kind::Plain),
            &[
                "ALTER TABLE public.t RENAME COLUMN owner TO keeper;",
                "ALTER TABLE public.t RENAME owner TO keeper;",
                "ALTER TABLE public.t ALTER COLUMN owner SET DEFAULT 'OWNER TO x';",
                "CREATE TABLE public.\"database\" (owner text);",
                "CREATE SCHEMA public_extra;",
                "CREATE SCHEMA public CREATE TABLE t (a int);",
                "COMMENT ON TABLE public.extension IS 'OWNER TO x';",
                "CREATE USER MAPPING FOR tenant SERVER s;",
                "INSERT INTO t VALUES ('DROP');",
            ],
        );
    }

    #[test]
    fn the_database_itself_is_left_out() {
        holds(
            Verdict::LeaveOut(DATABASE),
            &[
                "CREATE DATABASE odoo WITH TEMPLATE = template0 ENCODING = 'UTF8';",
                "ALTER DATABASE odoo SET search_path TO 'public';",
                "ALTER DATABASE odoo OWNER TO odoo;",
                "DROP DATABASE odoo;",
                "COMMENT ON DATABASE odoo IS 'ours';",
            ],
        );
        holds(
            Verdict::LeaveOut(SCHEMA_PUBLIC),
            &["CREATE SCHEMA public;", "CREATE SCHEMA IF NOT EXISTS \"public\";"],
        );
        holds(Verdict::LeaveOut(EXTENSION_COMMENTS), &["COMMENT ON EXTENSION pg_trgm IS 'x';"]);
        holds(Verdict::LeaveOut(LANGUAGES), &["CREATE OR REPLACE PROCEDURAL LANGUAGE plpgsql;"]);
        holds(
            Verdict::LeaveOut(TABLESPACES),
            &["SET default_tablespace = fast;", "SET default_tablespace = 'fast';"],
        );
    }

    #[test]
    fn drops_before_anything_is_made_are_clean_up() {
        let drops = [
            "DROP TABLE IF EXISTS public.t;",
            "DROP SCHEMA public;",
            "ALTER TABLE IF EXISTS ONLY public.t DROP CONSTRAINT t_pkey;",
            "ALTER TABLE public.t ALTER COLUMN id DROP DEFAULT;",
        ];
        for text in drops {
            assert_eq!(classify(text, true, true), Verdict::LeaveOut(CLEAN_UP), "{text}");
        }
        assert_eq!(classify("DROP TABLE t;", true, false), Verdict::Run(Kind::Drop));
        assert_eq!(classify("ALTER TABLE t DROP CONSTRAINT c;", true, false), Verdict::Run(Kind::Plain));
    }

    #[test]
    fn what_reaches_outside_is_refused() {
        holds(Verdict::Refuse(PROGRAM), &["COPY t FROM PROGRAM 'id';", "copy t from program $$id$$;"]);
        holds(Verdict::Refuse(FILE), &["COPY t FROM '/etc/passwd';"]);
        holds(Verdict::Refuse(WRITES), &["COPY t TO PROGRAM 'id';", "COPY t TO STDOUT;"]);
        holds(Verdict::Refuse(LIBRARY), &["LOAD 'evil';"]);
        holds(Verdict::Refuse(SERVER), &["ALTER SYSTEM SET fsync = on;"]);
        holds(
            Verdict::Refuse(CLUSTER),
            &["CREATE ROLE odoo;", "ALTER ROLE odoo SUPERUSER;", "CREATE USER odoo;"],
        );
        holds(
            Verdict::Refuse(ENCODING),
            &["SET client_encoding = 'SJIS';", "SET client_encoding TO \"GB18030\";"],
        );
        holds(
            Verdict::Run(Kind::Setting),
            &["SET client_encoding = 'UTF8';", "SET default_tablespace = '';"],
        );
    }

    #[test]
    fn extensions_are_known_by_name() {
        holds(
            Verdict::Run(Kind::Extension("pg_trgm")),
            &["CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;"],
        );
        holds(Verdict::Run(Kind::Extension("\"uuid-ossp\"")), &["CREATE EXTENSION \"uuid-ossp\";"]);
    }
}
