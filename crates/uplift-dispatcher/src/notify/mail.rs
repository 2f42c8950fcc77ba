//! Mail: each as text and as HTML, by the server that is configured.

use std::time::Duration;

use anyhow::Context as _;
use askama::Template;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
};
use secrecy::ExposeSecret as _;
use uplift_platform::{
    config::MailConfig,
    ledger::{Due, Request, Sent},
};
use url::Url;

use super::{later, reason};

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends mail, where a server is configured.
#[derive(Debug)]
pub(crate) struct Mailer(Option<(AsyncSmtpTransport<Tokio1Executor>, Mailbox)>);

/// What a mail says.
struct Words<'a> {
    subject: String,
    lines: Vec<String>,
    link: Option<(&'a str, String)>,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    words: &'a Words<'a>,
}

impl Mailer {
    pub(crate) fn new(config: Option<&MailConfig>) -> anyhow::Result<Self> {
        let Some(config) = config else { return Ok(Self(None)) };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(config.url.expose_secret());
        let transport = transport.context("read dispatcher.mail.url")?.timeout(Some(PATIENCE)).build();
        let from = config.from.parse().context("read dispatcher.mail.from")?;
        Ok(Self(Some((transport, from))))
    }

    /// Whether mail is sent at all.
    pub(crate) const fn sends(&self) -> bool {
        self.0.is_some()
    }

    pub(super) async fn send(&self, due: &Due, to: &str, request: &Request, site: Option<&Url>) -> Sent {
        let Some((transport, from)) = &self.0 else {
            return Sent::GivenUp("no server for mail is configured".into());
        };
        let message = match message(due, from, to, request, site) {
            Ok(message) => message,
            Err(error) => return Sent::GivenUp(format!("{error:#}")),
        };
        match transport.send(message).await {
            Ok(answer) => Sent::Delivered(answer.code().to_string()),
            Err(error) if error.is_permanent() => Sent::GivenUp(error.to_string()),
            Err(error) => later(due.notification.attempts, format!("{:#}", anyhow::Error::from(error))),
        }
    }
}

/// Checks an address.
pub(crate) fn check(address: &str) -> Result<(), String> {
    match address.parse::<lettre::Address>() {
        Ok(_) if address.len() <= 254 => Ok(()),
        _ => Err(format!("`email` is `{}`, which is no address for mail", address.escape_debug())),
    }
}

fn message(
    due: &Due,
    from: &Mailbox,
    to: &str,
    request: &Request,
    site: Option<&Url>,
) -> anyhow::Result<Message> {
    let words = words(&due.notification.topic, request, site);
    let mut text = words.lines.join("\n\n");
    if let Some((name, link)) = &words.link {
        text.push_str(&format!("\n\n{name}: {link}"));
    }
    let html = Html { words: &words }.render()?;
    // Sent twice, it is the same message, which mail programs show once.
    let id = format!("<{}@{}>", due.notification.id, from.email.domain());
    let message = Message::builder().message_id(Some(id)).from(from.clone()).to(to.parse()?);
    Ok(message.subject(words.subject).multipart(MultiPart::alternative_plain_html(text, html))?)
}

fn words<'a>(topic: &str, request: &Request, site: Option<&Url>) -> Words<'a> {
    // A header is one line, whatever the database is called; nor may its name pass for a line of ours.
    let database: String = request.database_name.chars().filter(|c| !c.is_control()).collect();
    let what = format!("{} of {database} to {}", request.purpose, request.target);
    let (event, line) = match topic {
        "request.delivered" => {
            ("delivered", "The upgraded database lies ready to be fetched, with its report.")
        }
        "request.needs_attention" => (
            "needs attention",
            "The upgrade failed, and our engineers have it. You need not do anything; it goes on once they are done.",
        ),
        "request.rejected" => ("rejected", "The database cannot be upgraded as it is:"),
        "request.answered" => ("answered", "An engineer has looked at what you reported:"),
        _ => ("in progress", "The dump has come, and the upgrade begins as soon as a worker is free."),
    };
    let mut lines = vec![line.to_owned()];
    lines.extend(reason(request));
    if topic == "request.answered" {
        lines.extend(request.note.clone());
    }
    lines.push(format!("Request {}", request.id));
    let link = site.and_then(|site| site.join(&format!("requests/{}", request.id)).ok());
    Words { subject: format!("{what}: {event}"), lines, link: link.map(|link| ("See it", link.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn an_address_is_one_address() {
        assert!(check("me@example.com").is_ok());
        for wrong in ["", "me", "a@b\r\nBcc: c@d", "a@b, c@d", "Me <me@example.com>"] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
    }
}
