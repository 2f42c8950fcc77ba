//! Whether a statement changes how the strings behind it are read.

use crate::token::{Token, tokens};

const NAME: &str = "standard_conforming_strings";

/// The value of `standard_conforming_strings` that a statement sets, if it sets it.
pub(super) fn standard_strings(text: &str, now: bool) -> Option<bool> {
    // What sets it is short; no long statement is looked at twice.
    if text.len() > 200 {
        return None;
    }
    let mut tokens = tokens(text, now);
    let first = tokens.next()?;
    if first.is("set") {
        let mut name = tokens.next()?;
        if name.is("session") || name.is("local") {
            name = tokens.next()?;
        }
        tokens.next().filter(|_| name.is(NAME))?;
        return Some(is_on(tokens.next()?));
    }
    if first.is("reset") {
        return tokens.next().filter(|name| name.is(NAME) || name.is("all")).map(|_| true);
    }
    if first.is("discard") {
        return tokens.next().filter(|what| what.is("all")).map(|_| true);
    }
    // SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);
    first.is("select").then_some(())?;
    tokens.find(|token| token.is("set_config"))?;
    let arguments: Vec<_> = tokens.take(4).collect();
    match arguments[..] {
        [Token::Sign('('), Token::Text(name), Token::Sign(','), value] if name.contains(NAME) => {
            Some(is_on(value))
        }
        _ => None,
    }
}

/// A boolean as Postgres reads one; what it would refuse changes nothing that matters.
fn is_on(value: Token<'_>) -> bool {
    let (Token::Word(value) | Token::Text(value) | Token::Name(value) | Token::Number(value)) = value else {
        return true;
    };
    let value = value.trim_matches(['\'', '"']).to_ascii_lowercase();
    !["off", "false", "no", "0", "f", "n"].contains(&value.as_str())
}

#[cfg(test)]
mod tests {
    use super::standard_strings;

    #[test]
    fn the_ways_to_set_it_are_known() {
        let cases = [
            ("SET standard_conforming_strings = on;", Some(true)),
            ("set session standard_conforming_strings TO 'off';", Some(false)),
            ("SET LOCAL standard_conforming_strings = 0;", Some(false)),
            ("SET \"standard_conforming_strings\" = false;", Some(false)),
            ("SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);", Some(false)),
            ("SELECT pg_catalog.set_config('search_path', '', false);", None),
            ("RESET ALL;", Some(true)),
            ("DISCARD ALL;", Some(true)),
            ("SET standard_conforming_strings = DEFAULT;", Some(true)),
            ("SET search_path = public;", None),
        ];
        for (text, expected) in cases {
            assert_eq!(standard_strings(text, true), expected, "{text}");
        }
    }
}
