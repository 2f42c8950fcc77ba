//! Definitions that mean the same although Postgres writes them another way.
//!
//! What `CHECK (state IN ('a', 'b'))` becomes on a column of type varchar is written back as a cast of the whole
//! array, and once that was read again, as a cast of each element. So an expression that went through a dump may
//! differ from the one before in where its casts stand, and in the parentheses that Postgres writes around what is
//! cast, and in nothing else: the types that are cast to stay the same, and so do the parentheses that group.

use std::collections::BTreeSet;

/// The kinds of [`super::catalog::KINDS`] whose definitions hold expressions that Postgres writes back: views among
/// the relations, defaults among the columns.
const WRITTEN_BACK: [&str; 8] =
    ["relation", "column", "constraint", "index", "trigger", "rule", "policy", "statistics"];

/// Whether two definitions of a kind differ in where their casts stand at most.
pub(super) fn equal(kind: &str, left: &str, right: &str) -> bool {
    WRITTEN_BACK.contains(&kind) && left.contains("::") && Loose::of(left) == Loose::of(right)
}

/// A definition without its casts, and without the parentheses around an operand that needs none.
#[derive(PartialEq, Eq)]
struct Loose<'a> {
    bare: String,
    /// The types that are cast to; those of arrays as those of their elements.
    types: BTreeSet<&'a str>,
}

/// Parentheses or brackets.
struct Group {
    /// Where it begins in the bare text.
    begin: usize,
    /// Whether the parentheses are there for a cast's sake: they are no function's, and what they hold stands
    /// together without them. That is a name, a literal, a call, an array or another group, and no operator.
    for_a_cast: bool,
}

impl<'a> Loose<'a> {
    fn of(text: &'a str) -> Self {
        let mut loose = Self { bare: String::with_capacity(text.len()), types: BTreeSet::new() };
        let mut open: Vec<Group> = Vec::new();
        // The group that ends where the bare text ends.
        let mut closed: Option<Group> = None;
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let operand = closed.take();
            if rest.starts_with("::") {
                let behind = behind_type(&rest[2..]);
                loose.types.insert(rest[2..rest.len() - behind.len()].trim_end_matches("[]"));
                if let Some(group) = operand.filter(|group| group.for_a_cast) {
                    loose.bare.pop();
                    loose.bare.remove(group.begin);
                }
                rest = behind;
                continue;
            }
            let length = if matches!(next, '\'' | '"') { quoted(rest) } else { next.len_utf8() };
            match next {
                '(' | '[' => {
                    let behind_name = loose.bare.ends_with(|last: char| in_name(last) || last == ']');
                    open.push(Group { begin: loose.bare.len(), for_a_cast: next == '(' && !behind_name });
                }
                ')' | ']' => closed = open.pop(),
                _ if in_name(next) || next == '\'' => {}
                // A blank or an operator.
                _ => open.iter_mut().next_back().into_iter().for_each(|group| group.for_a_cast = false),
            }
            loose.bare.push_str(&rest[..length]);
            rest = &rest[length..];
        }
        loose
    }
}

/// Whether a character may stand in a name, qualified or quoted.
fn in_name(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '.' | '"')
}

/// The length of what is quoted at the beginning. A doubled quote reads like two literals, which is as good here.
fn quoted(text: &str) -> usize {
    text[1..].find(&text[..1]).map_or(text.len(), |end| end + 2)
}

/// What stands behind the name of a type.
fn behind_type(text: &str) -> &str {
    const LONG: [&str; 7] = [
        "character varying",
        "double precision",
        "bit varying",
        "timestamp without time zone",
        "timestamp with time zone",
        "time without time zone",
        "time with time zone",
    ];
    let length = LONG
        .iter()
        .find(|name| text.starts_with(**name))
        .map_or_else(|| text.find(|character| !in_name(character)).unwrap_or(text.len()), |name| name.len());
    let rest = &text[length..];
    // A length in parentheses belongs to the type.
    let digits =
        rest.strip_prefix('(').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ','));
    let rest = digits.and_then(|rest| rest.strip_prefix(')')).unwrap_or(rest);
    rest.trim_start_matches("[]")
}

#[cfg(test)]
mod tests {
    use super::equal;

    const BEFORE: &str =
        "CHECK (((state)::text = ANY ((ARRAY['a'::character varying, 'b c'::character varying])::text[])))";
    const AFTER: &str = "CHECK (((state)::text = ANY (ARRAY[('a'::character varying)::text, ('b c'::character varying)::text])))";

    #[test]
    fn casts_that_moved_are_no_difference() {
        assert!(equal("constraint", BEFORE, AFTER));
        assert!(!equal("constraint", BEFORE, &AFTER.replace("'b c'", "'bc'")));
        assert!(!equal("constraint", BEFORE, &AFTER.replace("ANY", "ALL")));
        assert!(!equal("constraint", BEFORE, &AFTER.replace("::text", "::name")));
        assert!(!equal("function", BEFORE, AFTER));
        assert!(!equal("comment", BEFORE, AFTER));
    }

    #[test]
    fn parentheses_that_group_are_a_difference() {
        for (left, right) in [
            ("(a OR b) AND c = 'x'::text", "a OR (b AND c = 'x'::text)"),
            ("((a || b))::text || c", "a || (b || (c)::text)"),
            ("(a || b)::text || c", "a || (b)::text || c"),
            ("lower(a)::text", "lower a::text"),
            ("('it''s (x'::text)", "('it''s x'::text)"),
            ("(\"a'(b\")::text", "(\"a'b\")::text"),
            ("(- 1)::text", "- (1)::text"),
        ] {
            assert!(!equal("constraint", left, right), "{left} | {right}");
        }
    }

    #[test]
    fn parentheses_around_what_is_cast_are_none() {
        for (left, right) in [
            ("(lower((a)::text))::name", "(lower(a::name))::text"),
            ("(x)::numeric(10,2)", "x::numeric(10,2)"),
            ("(s.\"a b\")::text[]", "s.\"a b\"::text"),
        ] {
            assert!(equal("index", left, right), "{left} | {right}");
        }
    }
}
