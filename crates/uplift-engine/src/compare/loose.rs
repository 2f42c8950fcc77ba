//! Definitions that mean the same although Postgres writes them another way.
//!
//! What `CHECK (state IN ('a', 'b'))` becomes on a column of type varchar is written back as a cast of the whole
//! array, and once that was read again, as a cast of each element. So a definition that went through a dump may
//! differ from the one before in its casts and its parentheses, and in nothing else.

/// Whether two definitions differ in casts, parentheses and blanks at most, quoted strings aside.
pub(super) fn equal(left: &str, right: &str) -> bool {
    left.contains("::") && bare(left) == bare(right)
}

/// A definition without casts, parentheses and blanks.
fn bare(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut rest = text;
    let mut quoted = false;
    while let Some(next) = rest.chars().next() {
        if next == '\'' {
            quoted = !quoted;
        }
        if !quoted && rest.starts_with("::") {
            rest = behind_type(&rest[2..]);
            continue;
        }
        if quoted || !(next.is_whitespace() || matches!(next, '(' | ')')) {
            bare.push(next);
        }
        rest = &rest[next.len_utf8()..];
    }
    bare
}

/// What stands behind the name of a type.
fn behind_type(text: &str) -> &str {
    const LONG: [&str; 5] = [
        "character varying",
        "double precision",
        "bit varying",
        "timestamp without time zone",
        "timestamp with time zone",
    ];
    let length = LONG.iter().find(|name| text.starts_with(**name)).map_or_else(
        || {
            let in_name =
                |character: char| character.is_alphanumeric() || matches!(character, '_' | '.' | '"');
            text.find(|character| !in_name(character)).unwrap_or(text.len())
        },
        |name| name.len(),
    );
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

    #[test]
    fn casts_that_moved_are_no_difference() {
        let before = "CHECK (((state)::text = ANY ((ARRAY['a'::character varying, 'b c'::character varying])::text[])))";
        let after = "CHECK (((state)::text = ANY (ARRAY[('a'::character varying)::text, ('b c'::character varying)::text])))";
        assert!(equal(before, after));
        assert!(!equal(before, &after.replace("'b c'", "'bc'")));
        assert!(!equal(before, &after.replace("ANY", "ALL")));
        assert!(equal("(x)::numeric(10,2)", "x"));
        assert!(!equal("12 true", "13 true"));
    }
}
