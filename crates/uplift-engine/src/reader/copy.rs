//! `COPY` data: where it begins and where it ends.

use memchr::{memmem, memrchr};

use crate::token::{Token, tokens};

/// Where a `COPY` statement takes its rows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The lines below it.
    Stdin,
    /// A program of the server's machine.
    Program,
    /// A file of the server's machine.
    File,
    /// Nowhere: it writes.
    None,
}

/// What kind of `COPY` a statement is, if it is one.
pub(crate) fn source(text: &str, standard_strings: bool) -> Option<Source> {
    // Most statements are told apart by four bytes.
    if !text.get(..4)?.eq_ignore_ascii_case("copy") {
        return None;
    }
    let mut tokens = tokens(text, standard_strings);
    if !tokens.next()?.is("copy") {
        return None;
    }
    let mut depth = 0_u32;
    while let Some(token) = tokens.next() {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.saturating_sub(1),
            _ if depth == 0 && token.is("from") => {
                return Some(match tokens.next() {
                    // The grammar takes either word.
                    Some(token) if token.is("stdin") || token.is("stdout") => Source::Stdin,
                    Some(token) if token.is("program") => Source::Program,
                    _ => Source::File,
                });
            }
            _ => {}
        }
    }
    Some(Source::None)
}

/// A piece of `COPY` data, by its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Data(usize),
    End(usize),
}

/// What the window begins with: data up to a line's end, or the line that ends the data. `None` at the file's
/// end only. Unless it is the `last`, the window holds enough bytes to tell.
pub(super) fn split(window: &[u8], line_begins: bool, last: bool) -> Option<Part> {
    if window.is_empty() {
        return None;
    }
    if line_begins && let Some(length) = end_line(window) {
        return Some(Part::End(length));
    }
    let mut from = 0;
    while let Some(place) = memmem::find(&window[from..], b"\n\\.") {
        let line = from + place + 1;
        // At the window's end it may be cut; then it comes first the next time.
        if end_line(&window[line..]).is_some() || window.len() - line < 4 && !last {
            return Some(Part::Data(line));
        }
        from = line;
    }
    Some(Part::Data(memrchr(b'\n', window).map_or(window.len(), |place| place + 1)))
}

/// The length of the line `\.`, if the bytes begin with it. As in psql, it counts only with its line's end.
fn end_line(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\\', b'.', b'\n', ..] => Some(3),
        [b'\\', b'.', b'\r', b'\n', ..] => Some(4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Source, source, split};

    #[test]
    fn data_ends_at_a_line_of_its_own_only() {
        assert_eq!(split(b"1\n\\.\nSELECT", true, false), Some(Part::Data(2)));
        assert_eq!(split(b"\\.\nSELECT", true, false), Some(Part::End(3)));
        assert_eq!(split(b"\\.\r\nSELECT", true, false), Some(Part::End(4)));
        assert_eq!(split(b"\\.\nx\n", false, false), Some(Part::Data(5)), "it ends a longer line");
        assert_eq!(split(b"\\.x\n\\..\n \\.\n", true, false), Some(Part::Data(12)));
    }

    #[test]
    fn an_end_that_the_window_cuts_is_kept_for_the_next() {
        assert_eq!(split(b"1\n\\.", true, false), Some(Part::Data(2)));
        assert_eq!(split(b"1\n\\.\r", true, false), Some(Part::Data(2)));
        assert_eq!(split(b"1\n\\", true, false), Some(Part::Data(2)));
    }

    #[test]
    fn a_line_longer_than_the_window_passes_in_pieces() {
        assert_eq!(split(b"aaaa", true, false), Some(Part::Data(4)));
        assert_eq!(split(b"", true, true), None);
    }

    #[test]
    fn copy_is_told_apart_by_its_source() {
        let cases = [
            ("COPY public.t (a, \"from\") FROM stdin;", Some(Source::Stdin)),
            ("copy /* from 'x' */ t(\"a)\") from STDOUT with (format csv);", Some(Source::Stdin)),
            ("COPY t FROM PROGRAM 'id';", Some(Source::Program)),
            ("COPY t FROM '/etc/passwd';", Some(Source::File)),
            ("COPY t FROM 'stdin';", Some(Source::File)),
            ("COPY (SELECT 1 FROM stdin) TO STDOUT;", Some(Source::None)),
            ("copyright FROM stdin;", None),
            ("SELECT 'COPY t FROM stdin';", None),
        ];
        for (text, expected) in cases {
            assert_eq!(source(text, true), expected, "{text}");
        }
    }
}
