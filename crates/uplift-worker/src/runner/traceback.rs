//! Python's tracebacks, as they pass by.

/// How much of a traceback is kept, in bytes: its end says more than its beginning.
const TRACEBACK: usize = 8_000;

/// How Python announces one.
const ANNOUNCED: &str = "Traceback (most recent call last):";

/// The last traceback.
#[derive(Default)]
pub(super) struct Traceback {
    pub(super) text: String,
    state: Where,
    /// Its last line that is not indented: the exception.
    pub(super) exception: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Where {
    #[default]
    Outside,
    Frames,
    /// Behind the exception, whose text may go on.
    Behind,
}

impl Traceback {
    /// Takes in a line; one with a head of its own is the log's.
    pub(super) fn hear(&mut self, text: &str, has_head: bool) {
        let announced = text.trim_end().ends_with(ANNOUNCED);
        let state = match self.state {
            _ if announced => {
                self.text.clear();
                self.exception = None;
                Where::Frames
            }
            Where::Outside => return,
            // The next line of the log ends it, once there was an exception.
            Where::Behind if has_head => {
                self.state = Where::Outside;
                return;
            }
            Where::Frames if !has_head && !text.starts_with([' ', '\t']) && !text.is_empty() => {
                self.exception = Some(text.to_owned());
                Where::Behind
            }
            state => state,
        };
        self.state = state;
        self.text.push_str(text);
        self.text.push('\n');
        if self.text.len() > TRACEBACK {
            let from = self.text.ceil_char_boundary(self.text.len() - TRACEBACK);
            self.text.drain(..from);
        }
    }
}
