//! The fields of a form, as a browser sends them.

use std::collections::HashMap;

/// What was typed into a form, and which form of its page it was.
#[derive(Debug, Default)]
pub(super) struct Fields {
    of: String,
    fields: HashMap<String, String>,
}

impl Fields {
    pub(super) fn read(body: &[u8]) -> Self {
        // Browsers end lines of a text area as telegraphs do.
        let plain = |text: std::borrow::Cow<'_, str>| text.replace("\r\n", "\n");
        let fields = url::form_urlencoded::parse(body).map(|(name, value)| (plain(name), plain(value)));
        Self { of: String::new(), fields: fields.collect() }
    }

    /// Of this form of the page.
    #[must_use]
    pub(super) fn of(self, form: &str) -> Self {
        Self { of: form.to_owned(), ..self }
    }

    /// A field; empty where it was not sent.
    pub(super) fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// Whether a box was ticked.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// What was typed into this form, for showing it again.
    pub(super) fn typed(&self, form: &str, name: &str) -> &str {
        if self.of == form { self.get(name) } else { "" }
    }
}
