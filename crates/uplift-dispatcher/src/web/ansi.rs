//! A log's line as HTML: its text escaped, and the colours that a terminal would show as classes of the style sheet.

use uplift_core::ansi::{self, Piece};

use super::words;

/// How a terminal would show text, as far as logs use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    /// 0 to 7: black, red, green, yellow, blue, magenta, cyan, white.
    colour: Option<u8>,
    bold: bool,
    italic: bool,
    underlined: bool,
}

impl Look {
    /// What the numbers of one sequence make of it. Backgrounds, and colours beyond the eight, are left as they are.
    fn after(mut self, numbers: &str) -> Self {
        let mut numbers = numbers.split(';').map(|number| if number.is_empty() { "0" } else { number });
        while let Some(number) = numbers.next() {
            match number.parse::<u8>().unwrap_or(u8::MAX) {
                0 => self = Self::default(),
                1 => self.bold = true,
                3 => self.italic = true,
                4 => self.underlined = true,
                22 => self.bold = false,
                23 => self.italic = false,
                24 => self.underlined = false,
                colour @ (30..=37 | 90..=97) => self.colour = Some(colour % 10),
                39 => self.colour = None,
                // One of 256, or red, green and blue: `38;5;N`, `38;2;R;G;B`.
                38 | 48 => {
                    let rest = if numbers.next() == Some("2") { 3 } else { 1 };
                    numbers.by_ref().take(rest).for_each(drop);
                }
                _ => {}
            }
        }
        self
    }

    fn classes(self) -> String {
        let colour = self.colour.map(|colour| format!("c{colour}"));
        let styles = [(self.bold, "b"), (self.italic, "i"), (self.underlined, "u")];
        let styles = styles.into_iter().filter(|(on, _)| *on).map(|(_, class)| class.to_owned());
        colour.into_iter().chain(styles).collect::<Vec<_>>().join(" ")
    }
}

/// A line as HTML. Whatever else is not plain is shown as an escape.
pub(super) fn html(line: impl AsRef<str>) -> String {
    let (mut look, mut out) = (Look::default(), String::new());
    for piece in ansi::pieces(line.as_ref()) {
        match piece {
            Piece::Look(numbers) => look = look.after(numbers),
            Piece::Text(text) => add(&mut out, text, look),
        }
    }
    out
}

fn add(out: &mut String, text: &str, look: Look) {
    let classes = look.classes();
    if !classes.is_empty() {
        out.push_str(&format!("<span class=\"{classes}\">"));
    }
    for c in words::plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    if !classes.is_empty() {
        out.push_str("</span>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_classes_and_nothing_becomes_markup() {
        for (text, shown) in [
            ("plain <b>&\"'", "plain &lt;b&gt;&amp;&quot;&#39;"),
            ("\u{1b}[1;31mred\u{1b}[0m not", "<span class=\"c1 b\">red</span> not"),
            ("\u{1b}[92mgreen\u{1b}[m", "<span class=\"c2\">green</span>"),
            (
                "\u{1b}[32m\u{1b}[4ma\u{1b}[24mb\u{1b}[39mc",
                "<span class=\"c2 u\">a</span><span class=\"c2\">b</span>c",
            ),
            // The numbers of a colour out of 256 are none of their own.
            ("\u{1b}[38;5;31;3mx", "<span class=\"i\">x</span>"),
            ("\u{1b}[38;2;1;4;3mx", "x"),
            ("\u{1b}[48;5;1mx\u{1b}[999999mx", "xx"),
            // What is no colour is shown.
            ("a\u{1b}[2Jb\u{1b}[31mc", "a\\u{1b}[2Jb<span class=\"c1\">c</span>"),
            ("\u{1b}[31", "\\u{1b}[31"),
            ("\u{1b}[\u{1b}[31mx", "\\u{1b}[<span class=\"c1\">x</span>"),
            ("\u{1b}[31m<script>", "<span class=\"c1\">&lt;script&gt;</span>"),
            ("zwölf\r", "zwölf\\r"),
            ("", ""),
        ] {
            assert_eq!(html(text), shown, "{text:?}");
        }
    }
}
