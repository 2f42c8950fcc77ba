//! How far names, literals and comments go.

use memchr::{memchr, memchr2, memmem};

/// Whether an unquoted name may begin with this byte.
pub(crate) const fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// Whether an unquoted name may go on with this byte.
pub(crate) const fn continues_name(byte: u8) -> bool {
    starts_name(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Where the unquoted name that begins at `at` ends.
pub(crate) fn name_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|&byte| !continues_name(byte)).map_or(bytes.len(), |length| at + length)
}

// What follows begins behind the opening bytes, stops where it ends or where more bytes are needed, and says
// where that is and whether it has ended. `last` says that no more bytes will come.

/// A string whose only special character is the quote: two of them stand for one.
pub(crate) fn quoted(bytes: &[u8], mut at: usize, last: bool) -> (usize, bool) {
    while let Some(length) = memchr(b'\'', &bytes[at..]) {
        let quote = at + length;
        match bytes.get(quote + 1) {
            Some(b'\'') => at = quote + 2,
            None if !last => return (quote, false),
            _ => return (quote + 1, true),
        }
    }
    (bytes.len(), false)
}

/// A string in which a backslash takes the next byte with it.
pub(crate) fn escaped(bytes: &[u8], mut at: usize, last: bool) -> (usize, bool) {
    while let Some(length) = memchr2(b'\'', b'\\', &bytes[at..]) {
        let place = at + length;
        match (bytes[place], bytes.get(place + 1)) {
            (_, None) if !last => return (place, false),
            (b'\\', None) => return (place, false),
            (b'\\', Some(_)) | (_, Some(b'\'')) => at = place + 2,
            _ => return (place + 1, true),
        }
    }
    (bytes.len(), false)
}

/// A quoted name: two quotes stand for one, which is to leave it and to enter the next at once.
pub(crate) fn identifier(bytes: &[u8], at: usize) -> (usize, bool) {
    memchr(b'"', &bytes[at..]).map_or((bytes.len(), false), |length| (at + length + 1, true))
}

/// A string between two delimiters such as `$tag$`.
pub(crate) fn dollar(bytes: &[u8], at: usize, delimiter: &[u8]) -> (usize, bool) {
    match memmem::find(&bytes[at..], delimiter) {
        Some(length) => (at + length + delimiter.len(), true),
        // The delimiter's first bytes may be there already.
        None => (at.max((bytes.len() + 1).saturating_sub(delimiter.len())), false),
    }
}

/// A comment to the line's end.
pub(crate) fn remark(bytes: &[u8], at: usize) -> (usize, bool) {
    memchr2(b'\n', b'\r', &bytes[at..]).map_or((bytes.len(), false), |length| (at + length, true))
}

/// A comment between `/*` and `*/`, inside `depth` of them.
pub(crate) fn comment(bytes: &[u8], mut at: usize, last: bool, depth: &mut u32) -> (usize, bool) {
    while let Some(length) = memchr2(b'*', b'/', &bytes[at..]) {
        let place = at + length;
        match (bytes[place], bytes.get(place + 1)) {
            (_, None) if !last => return (place, false),
            (b'/', Some(b'*')) => {
                *depth += 1;
                at = place + 2;
            }
            (b'*', Some(b'/')) => {
                *depth -= 1;
                at = place + 2;
                if *depth == 0 {
                    return (at, true);
                }
            }
            _ => at = place + 1,
        }
    }
    (bytes.len(), false)
}
