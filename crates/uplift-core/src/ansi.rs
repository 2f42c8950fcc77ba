//! Colours in a log: `ESC [ … m` (ECMA-48, SGR), which is all that a log keeps of what a terminal would obey.

/// A piece of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text, which may hold other escapes.
    Text(&'a str),
    /// From here on it looks otherwise: the numbers of a sequence, such as `1;31`.
    Look(&'a str),
}

/// Cuts a line at its colours.
#[must_use]
pub fn pieces(line: &str) -> Pieces<'_> {
    Pieces { rest: line }
}

/// The pieces of a line, in order.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if let Some((numbers, behind)) = look(self.rest) {
            self.rest = behind;
            return Some(Piece::Look(numbers));
        }
        if self.rest.is_empty() {
            return None;
        }
        let starts = self.rest.match_indices('\u{1b}').map(|(at, _)| at);
        let end = starts.filter(|&at| at > 0).find(|&at| look(&self.rest[at..]).is_some());
        let (text, behind) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = behind;
        Some(Piece::Text(text))
    }
}

/// The numbers of the sequence that a text begins with, and what is behind it.
fn look(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix("\u{1b}[")?;
    let end = inside.find(|c: char| !matches!(c, '0'..='9' | ';'))?;
    let behind = inside[end..].strip_prefix('m')?;
    Some((&inside[..end], behind))
}

/// A line without its colours.
#[must_use]
pub fn without(line: &str) -> String {
    let text = |piece| match piece {
        Piece::Text(text) => Some(text),
        Piece::Look(_) => None,
    };
    pieces(line).filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        Piece::{Look, Text},
        *,
    };

    #[test]
    fn a_line_is_cut_at_its_colours_and_nowhere_else() {
        for (line, cut) in [
            ("", &[][..]),
            ("plain", &[Text("plain")]),
            ("\u{1b}[1;31mred\u{1b}[m", &[Look("1;31"), Text("red"), Look("")]),
            ("a\u{1b}[2Jb\u{1b}[31mc", &[Text("a\u{1b}[2Jb"), Look("31"), Text("c")]),
            ("\u{1b}[31", &[Text("\u{1b}[31")]),
            ("\u{1b}[\u{1b}[31mx", &[Text("\u{1b}["), Look("31"), Text("x")]),
            ("ä\u{1b}", &[Text("ä\u{1b}")]),
        ] {
            assert_eq!(pieces(line).collect::<Vec<_>>(), cut, "{line:?}");
        }
        assert_eq!(without("\u{1b}[32mgrün\u{1b}[0m und \u{1b}[2J"), "grün und \u{1b}[2J");
    }
}
