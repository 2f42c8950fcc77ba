//! The tokens of one statement, as far as it takes to tell what the statement is.

use crate::reader::span::{comment, dollar, escaped, identifier, name_end, quoted, remark, starts_name};

/// A token, as it stands in the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A keyword or an unquoted name.
    Word(&'a str),
    /// A quoted name, quotes included.
    Name(&'a str),
    /// A string, quotes included.
    Text(&'a str),
    /// Digits.
    Number(&'a str),
    /// Any other character.
    Sign(char),
}

impl Token<'_> {
    /// Whether the token is this keyword or name, given in lower case. A quoted name is one, too.
    pub(crate) fn is(&self, name: &str) -> bool {
        match self {
            Self::Word(word) => word.eq_ignore_ascii_case(name),
            Self::Name(quoted) => {
                quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) == Some(name)
            }
            Self::Text(_) | Self::Number(_) | Self::Sign(_) => false,
        }
    }
}

/// The tokens of a statement, without its comments.
pub(crate) const fn tokens(text: &str, standard_strings: bool) -> Tokens<'_> {
    Tokens { text, at: 0, standard_strings }
}

/// See [`tokens`].
#[derive(Clone)]
pub(crate) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    standard_strings: bool,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let bytes = self.text.as_bytes();
        let start = self.at;
        let byte = *bytes.get(start)?;
        if starts_name(byte) {
            self.at = name_end(bytes, start);
            let word = &self.text[start..self.at];
            if bytes.get(self.at) == Some(&b'\'')
                && matches!(word, "e" | "E" | "b" | "B" | "x" | "X" | "n" | "N")
            {
                return Some(self.string(start, matches!(word, "e" | "E")));
            }
            return Some(Token::Word(word));
        }
        match byte {
            b'\'' => Some(self.string(start, !self.standard_strings)),
            b'"' => {
                self.at = identifier(bytes, start + 1).0;
                while bytes.get(self.at) == Some(&b'"') {
                    self.at = identifier(bytes, self.at + 1).0;
                }
                Some(Token::Name(&self.text[start..self.at]))
            }
            b'$' if let Some(delimiter) = self.delimiter() => {
                self.at = dollar(bytes, start + delimiter.len(), delimiter.as_bytes()).0;
                Some(Token::Text(&self.text[start..self.at]))
            }
            b'0'..=b'9' => {
                let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                self.at = start + digits;
                Some(Token::Number(&self.text[start..self.at]))
            }
            _ => {
                let sign = self.text[start..].chars().next()?;
                self.at = start + sign.len_utf8();
                Some(Token::Sign(sign))
            }
        }
    }
}

impl<'a> Tokens<'a> {
    fn skip_blank(&mut self) {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at..).unwrap_or_default() {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, ..] => self.at += 1,
                [b'-', b'-', ..] => self.at = remark(bytes, self.at + 2).0,
                [b'/', b'*', ..] => self.at = comment(bytes, self.at + 2, true, &mut 1).0,
                _ => return,
            }
        }
    }

    /// The string that begins at `start`, whose quote stands there or at `self.at`.
    fn string(&mut self, start: usize, escape: bool) -> Token<'a> {
        let bytes = self.text.as_bytes();
        let behind = self.at.max(start) + 1;
        self.at = if escape { escaped(bytes, behind, true).0 } else { quoted(bytes, behind, true).0 };
        Token::Text(&self.text[start..self.at])
    }

    fn delimiter(&self) -> Option<&'a str> {
        let rest = &self.text[self.at..];
        let length = rest[1..].find('$')? + 2;
        let tag = &rest.as_bytes()[1..length - 1];
        let is_tag = tag.is_empty() || starts_name(tag[0]) && name_end(tag, 0) == tag.len();
        is_tag.then_some(&rest[..length])
    }
}

#[cfg(test)]
mod tests {
    use super::{Token, tokens};

    #[test]
    fn a_statement_falls_into_its_tokens() {
        let text =
            "ALTER /* a /* b */ */ TABLE \"a\"\"b\".t -- c\n SET (x='it''s', y=E'\\'', z=$q$ $ $q$, n=12);";
        let expected = [
            Token::Word("ALTER"),
            Token::Word("TABLE"),
            Token::Name("\"a\"\"b\""),
            Token::Sign('.'),
            Token::Word("t"),
            Token::Word("SET"),
            Token::Sign('('),
            Token::Word("x"),
            Token::Sign('='),
            Token::Text("'it''s'"),
            Token::Sign(','),
            Token::Word("y"),
            Token::Sign('='),
            Token::Text("E'\\''"),
            Token::Sign(','),
            Token::Word("z"),
            Token::Sign('='),
            Token::Text("$q$ $ $q$"),
            Token::Sign(','),
            Token::Word("n"),
            Token::Sign('='),
            Token::Number("12"),
            Token::Sign(')'),
            Token::Sign(';'),
        ];
        assert_eq!(tokens(text, true).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn old_strings_take_escapes() {
        let old: Vec<_> = tokens(r"'a\'b';", false).collect();
        assert_eq!(old, [Token::Text(r"'a\'b'"), Token::Sign(';')]);
    }
}
