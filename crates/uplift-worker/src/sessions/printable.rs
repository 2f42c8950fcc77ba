//! Bytes of a shell, as they come, as text that a terminal shows and does not obey.

/// What is left of a character whose end has not come yet.
#[derive(Default)]
pub(super) struct Printable(Vec<u8>);

impl Printable {
    /// The text of some bytes and of what was left before them. Line breaks and tabs stay; what could move a cursor, rename
    /// a window or turn the direction of writing is shown as an escape.
    pub(super) fn take(&mut self, bytes: &[u8]) -> String {
        self.0.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.0) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.0.len(),
        };
        let rest = self.0.split_off(whole);
        let mut text = String::with_capacity(self.0.len());
        for c in String::from_utf8_lossy(&self.0).chars() {
            let turns =
                matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if turns || c.is_control() && !matches!(c, '\n' | '\t') {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        self.0 = rest;
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_in_two_pieces_is_one_and_what_a_terminal_obeys_is_shown() {
        let mut printable = Printable::default();
        let bytes = "Größe\t\u{1b}[2J\r\u{202e}\n".as_bytes();
        let (one, two) = bytes.split_at(3);
        let text = printable.take(one) + &printable.take(two);
        assert_eq!(text, "Größe\t\\u{1b}[2J\\r\\u{202e}\n");
        assert_eq!(printable.take(b"\xff!"), "\u{fffd}!");
    }
}
