//! Server-sent events out of bytes, as the HTML standard has them (section 9.2.6), however they are cut.

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// The last id so far; empty where there was none.
    pub(crate) id: String,
    /// Its kind; empty where it has none.
    pub(crate) kind: String,
    /// Its data lines, joined.
    pub(crate) data: String,
}

/// Collects bytes until they make events. Text is decoded a whole line at a time, so that a character that is
/// cut in two arrives whole.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    begun: bool,
    event: Event,
    has_data: bool,
}

impl Parser {
    /// Takes the next bytes and gives the events that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for &byte in bytes {
            // CR LF is one line's end, even with the two in different chunks.
            let second_half = std::mem::take(&mut self.after_cr) && byte == b'\n';
            match byte {
                _ if second_half => {}
                b'\r' | b'\n' => {
                    self.after_cr = byte == b'\r';
                    events.extend(self.end_line());
                }
                _ => self.line.push(byte),
            }
        }
        events
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let mut line = String::from_utf8_lossy(&line).into_owned();
        if !std::mem::replace(&mut self.begun, true) && line.starts_with('\u{feff}') {
            line.remove(0);
        }
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.kind),
            "id" if !value.contains('\0') => value.clone_into(&mut self.event.id),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                self.event.data.push_str(value);
            }
            // A comment (no field name), `retry`, or what a later server may add.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        // The id outlives its event; kind and data do not.
        let next = Event { id: self.event.id.clone(), ..Event::default() };
        let event = std::mem::replace(&mut self.event, next);
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Event, Parser};

    fn event(id: &str, kind: &str, data: &str) -> Event {
        Event { id: id.into(), kind: kind.into(), data: data.into() }
    }

    #[test]
    fn a_stream_as_the_dispatcher_sends_it() {
        let stream = ": alive\n\nid: 1\nevent: line\ndata: {\"text\":\"Größe\"}\n\n:\n\nid:2\nevent:line\ndata:b\n\nevent: end\ndata: {}\n\n";
        let events = Parser::default().push(stream.as_bytes());
        let expected =
            [event("1", "line", "{\"text\":\"Größe\"}"), event("2", "line", "b"), event("2", "end", "{}")];
        assert_eq!(events, expected);
    }

    #[test]
    fn the_standards_corners() {
        let parse = |text: &str| Parser::default().push(text.as_bytes());
        assert_eq!(parse("data: a\ndata:  b\ndata\n\n"), [event("", "", "a\n b\n")]);
        assert_eq!(parse("\u{feff}data: a\r\rdata: b\r\n\r\n"), [event("", "", "a"), event("", "", "b")]);
        assert_eq!(parse("id: 7\n\nevent: line\n\ndata: x\n\n"), [event("7", "", "x")]);
        assert_eq!(parse("data\n\n"), [event("", "", "")]);
        assert_eq!(parse("id: 1\nid: a\0b\nretry: 5\ndata: x\n\n"), [event("1", "", "x")]);
        // What the server did not finish, it did not say.
        assert_eq!(parse("data: a\n"), []);
    }

    proptest! {
        /// However the network cuts the stream, the same events come out.
        #[test]
        fn cuts_do_not_matter(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just("\n"), Just("\r"), Just("\r\n"), Just("data: "), Just("data:ä→🦀"), Just("id: 4"),
                    Just("event: line"), Just(": x"), Just("\u{feff}"), Just("\n\n"), Just("data"),
                ], 0..40),
            cuts in prop::collection::vec(0usize..200, 0..20),
        ) {
            let stream = pieces.concat().into_bytes();
            let whole = Parser::default().push(&stream);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let mut parser = Parser::default();
            let cut: Vec<Event> =
                cuts.windows(2).flat_map(|ends| parser.push(&stream[ends[0]..ends[1]])).collect();
            prop_assert_eq!(whole, cut);
        }
    }
}
