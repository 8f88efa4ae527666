//! A message as a mail. The same row gives the same bytes: what is repeated after a crash is a copy that mail programs fold.

use lettre::message::header::{
    ContentDisposition, ContentId, ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue,
};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message as Letter};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::section::Section;
use crate::model::{Hit, Id};
use crate::notifier::channel::{DeliveryError, InlineImage, Message};
use crate::plain;

/// Characters of a subject, and of a name beside an address.
const SUBJECT_CHARACTERS: usize = 200;
const NAME_CHARACTERS: usize = 100;
/// Ids and names in one header; the rest is counted.
const LISTED_MAX: usize = 50;
/// Characters of a header of our own.
const HEADER_CHARACTERS: usize = 900;
/// What stays as it is in the address of a `mailto:` (RFC 6068).
const MAILTO: &AsciiSet = &NON_ALPHANUMERIC.remove(b'@').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// Who writes, and where people turn to who do not want to be written to.
#[derive(Clone, Debug)]
pub struct Sender {
    mailbox: Mailbox,
    unsubscribe: Address,
    /// Of its address, in ASCII: the right side of each Message-ID.
    domain: String,
}

impl Sender {
    /// Reads `from` and `unsubscribe`.
    pub fn from_section(section: &mut Section<'_>) -> Option<Sender> {
        let from = section.required_text("from").and_then(|text| {
            let sender = Sender::parse(&text);
            sender.map_err(|error| section.problem("from", error)).ok()
        });
        let unsubscribe = section.text("unsubscribe").map(|text| match text.parse::<Address>() {
            Ok(address) => Some(address),
            Err(_) => {
                let advice = "write it like \"desk@example.org\"";
                section.problem("unsubscribe", format!("{text:?} is not a mail address; {advice}"));
                None
            }
        });
        match (from, unsubscribe) {
            (Some(from), Some(unsubscribe)) => Some(Sender { unsubscribe: unsubscribe?, ..from }),
            (from, _) => from,
        }
    }

    /// Reads "newswatch <watch@example.org>" or the address alone.
    pub fn parse(text: &str) -> Result<Sender, String> {
        let wrong = || format!("{text:?} is not a mail address; write it like \"newswatch <watch@example.org>\"");
        // People write names with commas and accents that the standard wants in quotes.
        let with_name = || {
            let (name, address) = text.strip_suffix('>')?.rsplit_once('<')?;
            Some(Mailbox::new(Some(name.trim().to_string()), address.parse().ok()?))
        };
        let Mailbox { name, email } = text.parse().ok().or_else(with_name).ok_or_else(wrong)?;
        // A name with a line break in it would be the end of the header.
        let name = name.map(|name| header_text(&name, NAME_CHARACTERS)).filter(|name| !name.is_empty());
        let domain = ascii_domain(email.domain());
        Ok(Sender { mailbox: Mailbox::new(name, email.clone()), unsubscribe: email, domain })
    }

    /// Its address.
    pub fn address(&self) -> &str {
        self.mailbox.email.as_ref()
    }
}

/// Text for a header: one line, and nothing in it that a mail program would decode into something else (RFC 2047).
fn header_text(text: &str, characters_max: usize) -> String {
    plain::line(text, characters_max).replace("=?", "= ?")
}

/// A domain as it may stand in a Message-ID.
fn ascii_domain(domain: &str) -> String {
    match url::Host::parse(domain) {
        Ok(url::Host::Domain(domain)) => domain,
        // An address literal, or what only a mail server understands.
        _ => {
            let plain: String =
                domain.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).collect();
            if plain.is_empty() { "localhost".to_string() } else { plain }
        }
    }
}

/// A mail that is ready to be sent or kept.
#[derive(Clone, Debug)]
pub struct Mail {
    pub(super) from: Address,
    pub(super) to: Address,
    /// Headers and text; each line ends with CR and LF, the last one included.
    pub bytes: Vec<u8>,
}

impl Mail {
    /// Where it comes from.
    pub fn from(&self) -> &str {
        self.from.as_ref()
    }

    /// Where it goes.
    pub fn to(&self) -> &str {
        self.to.as_ref()
    }

    /// The bytes with the line ends of this machine (LF), as programs and folders here want them.
    pub fn with_local_line_ends(&self) -> Vec<u8> {
        // All parts are encoded: a CR stands nowhere but at the end of a line.
        self.bytes.iter().copied().filter(|byte| *byte != b'\r').collect()
    }
}

/// The message as a mail to its recipient; one for nobody in particular goes to the sender's own address.
pub fn write_mail(message: &Message, sender: &Sender) -> Result<Mail, DeliveryError> {
    let bad = |what: &str, error: &dyn std::fmt::Display| DeliveryError::Permanent(format!("{what}: {error}"));
    let to = match message.recipient.as_str() {
        "" => sender.mailbox.email.clone(),
        text => text.parse::<Address>().map_err(|error| bad("the recipient is not a mail address", &error))?,
    };
    let mut builder = Letter::builder()
        .from(sender.mailbox.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(header_text(&message.subject, SUBJECT_CHARACTERS))
        .message_id(Some(message_id(message.id, &sender.domain)))
        .date(std::time::SystemTime::from(message.created_at));
    if let Some(first) = message.thread.filter(|first| *first != message.id) {
        let first = message_id(first, &sender.domain);
        builder = builder.in_reply_to(first.clone()).references(first);
    }
    for (name, value) in headers(message, sender) {
        let value = header_text(&value, HEADER_CHARACTERS);
        builder = builder.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
    }
    // Quoted-printable never holds "=_": no text from outside can look like the end of a part (RFC 2045 section 6.7).
    let boundary = |what: &str| format!("=_newswatch-{}-{what}", message.id);
    let text = text_part(ContentType::TEXT_PLAIN, &message.text);
    let html = text_part(ContentType::TEXT_HTML, &message.html);
    let alternative = MultiPart::alternative().boundary(boundary("alternative")).singlepart(text);
    let body = if message.images.is_empty() {
        alternative.singlepart(html)
    } else {
        let mut related = MultiPart::related().boundary(boundary("related")).singlepart(html);
        for image in &message.images {
            related = related.singlepart(image_part(image).map_err(|error| bad("a picture", &error))?);
        }
        alternative.multipart(related)
    };
    let letter = builder.multipart(body).map_err(|error| bad("the mail cannot be written", &error))?;
    Ok(Mail { from: sender.mailbox.email.clone(), to, bytes: letter.formatted() })
}

/// The headers besides those that every mail has. There is no Precedence: it would lower the priority of an alert on some
/// servers, and what it is for (no holiday answers) is asked for by Auto-Submitted and X-Auto-Response-Suppress.
fn headers(message: &Message, sender: &Sender) -> Vec<(&'static str, String)> {
    let route = plain::line(&message.route, 64);
    let subject: String = utf8_percent_encode(&format!("unsubscribe {route}"), NON_ALPHANUMERIC).collect();
    let address: String = utf8_percent_encode(sender.unsubscribe.as_ref(), MAILTO).collect();
    let profiles = names(message.hits.iter().map(|hit| hit.profile.clone()));
    let mut headers = vec![
        // RFC 3834: no answering machine shall answer; the second is what Exchange heeds.
        ("Auto-Submitted", "auto-generated".to_string()),
        ("X-Auto-Response-Suppress", "All".to_string()),
        ("List-Id", format!("<{route}.newswatch.{}>", sender.domain)),
        ("List-Unsubscribe", format!("<mailto:{address}?subject={subject}>")),
        ("X-Newswatch-Message", message.id.to_string()),
        ("X-Newswatch-Route", route),
        ("X-Newswatch-Kind", message.kind.as_str().to_string()),
        ("X-Newswatch-Profiles", if profiles.is_empty() { "none".to_string() } else { profiles }),
    ];
    if !message.hits.is_empty() {
        let id_of = |of: fn(&Hit) -> Id| names(message.hits.iter().map(move |hit| of(hit).to_string()));
        headers.push(("X-Newswatch-Items", id_of(|hit| hit.item.id)));
        headers.push(("X-Newswatch-Stories", id_of(|hit| hit.story)));
    }
    headers
}

/// Each once, in the order in which they come; what is too many is counted.
fn names(all: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut left_out = 0;
    for name in all.map(|name| plain::line(&name, 64)) {
        if names.contains(&name) {
        } else if names.len() < LISTED_MAX {
            names.push(name);
        } else {
            left_out += 1;
        }
    }
    let listed = names.join(", ");
    if left_out == 0 { listed } else { format!("{listed} and {left_out} more") }
}

fn text_part(content_type: ContentType, text: &str) -> SinglePart {
    SinglePart::builder().header(content_type).header(ContentTransferEncoding::QuotedPrintable).body(text.to_string())
}

/// The `Content-Description` of a part.
#[derive(Clone)]
struct Description(String);

impl Header for Description {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Content-Description")
    }

    fn parse(text: &str) -> Result<Description, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Description(text.to_string()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Description::name(), self.0.clone())
    }
}

fn image_part(image: &InlineImage) -> Result<SinglePart, String> {
    let cid: String =
        image.cid.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '@')).collect();
    let media_type = ContentType::parse(&image.media_type).map_err(|error| error.to_string())?;
    let extension = image.media_type.rsplit('/').next().unwrap_or_default();
    let extension: String = extension.chars().take_while(char::is_ascii_alphanumeric).collect();
    Ok(SinglePart::builder()
        .header(media_type)
        .header(ContentId::from(format!("<{cid}>")))
        .header(ContentDisposition::inline_with_name(&format!("{cid}.{extension}")))
        .header(Description(header_text(&image.description, SUBJECT_CHARACTERS)))
        .header(ContentTransferEncoding::Base64)
        .body(image.bytes.clone()))
}

/// A function of the outbox row alone: a repeat after a crash carries the same.
fn message_id(id: Id, domain: &str) -> String {
    format!("<newswatch.{id}@{domain}>")
}

#[cfg(test)]
mod tests {
    use mail_parser::{MessageParser, MimeHeaders};

    use super::*;
    use crate::model::{DeliveryKind, Timestamp};

    fn message() -> Message {
        Message {
            id: Id(7),
            kind: DeliveryKind::Digest,
            route: "desk".into(),
            recipient: "me@example.org".into(),
            subject: "3 stories".into(),
            text: "one\n.\nFrom here\n북한\n".into(),
            html: "<p>one</p>".into(),
            images: vec![],
            hits: vec![],
            thread: None,
            window: None,
            created_at: "2026-11-21T08:00:00Z".parse::<Timestamp>().unwrap(),
            attempted_at: "2026-11-21T08:00:00Z".parse::<Timestamp>().unwrap(),
            report: Vec::new(),
            repeated: false,
        }
    }

    fn written(message: &Message, from: &str) -> String {
        let mail = write_mail(message, &Sender::parse(from).unwrap()).unwrap();
        String::from_utf8(mail.bytes).unwrap()
    }

    #[test]
    fn a_mail_says_what_it_is_and_a_repeat_is_the_same_to_the_byte() {
        let mut message = message();
        message.thread = Some(Id(3));
        message.images.push(InlineImage {
            cid: "days.1".into(),
            media_type: "image/png".into(),
            bytes: vec![1, 2, 3],
            description: "hits per day".into(),
        });
        let mail = written(&message, "newswatch <watch+a@example.org>");
        assert_eq!(mail, written(&Message { repeated: true, ..message.clone() }, "newswatch <watch+a@example.org>"));
        let unfolded = mail.replace("\r\n ", " ");
        for line in [
            "From: newswatch <watch+a@example.org>",
            "To: me@example.org",
            "Subject: 3 stories",
            "Message-ID: <newswatch.000000000007@example.org>",
            "Date: Sat, 21 Nov 2026 08:00:00 +0000",
            "In-Reply-To: <newswatch.000000000003@example.org>",
            "References: <newswatch.000000000003@example.org>",
            "Auto-Submitted: auto-generated",
            "List-Id: <desk.newswatch.example.org>",
            "List-Unsubscribe: <mailto:watch%2Ba@example.org?subject=unsubscribe%20desk>",
            "X-Newswatch-Route: desk",
            "X-Newswatch-Kind: digest",
        ] {
            assert!(unfolded.contains(&format!("{line}\r\n")), "{line} is missing in\n{mail}");
        }
        let parsed = MessageParser::new().parse(mail.as_bytes()).unwrap();
        let types: Vec<String> = parsed
            .parts
            .iter()
            .map(|part| {
                let content_type = part.content_type().unwrap();
                format!("{}/{}", content_type.ctype(), content_type.subtype().unwrap_or_default())
            })
            .collect();
        assert_eq!(types, ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]);
        assert_eq!(parsed.parts[4].content_id(), Some("days.1"));
        assert_eq!(parsed.parts[4].contents(), [1, 2, 3]);
        assert!(parsed.body_text(0).unwrap().contains("From here"));
        assert!(parsed.body_text(0).unwrap().contains("북한"));
    }

    #[test]
    fn nothing_from_outside_becomes_a_header_or_a_part() {
        let hostile = "a\r\nBcc: evil@example.org\r\n\r\n--=_newswatch-000000000007-alternative\r\n\0\u{1b}[2J\u{202e}";
        let long = "wort".repeat(600);
        for text in [hostile, &long, "북한 \u{feff}자금 세탁", "=?utf-8?q?=0D=0ABcc:?="] {
            let message =
                Message { subject: text.into(), route: text.into(), text: text.into(), html: text.into(), ..message() };
            let mail = written(&message, "\"odd, \\\"name\\\" 북\" <watch@example.org>");
            let (head, body) = mail.split_once("\r\n\r\n").unwrap();
            assert!(!head.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{head}");
            assert!(mail.is_ascii());
            assert!(mail.bytes().all(|byte| matches!(byte, b'\r' | b'\n' | b' '..=b'~')), "{mail:?}");
            assert!(mail.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
            assert_eq!(body.matches("\r\n--=_newswatch-000000000007-alternative").count() + 1, 3, "{mail}");
            let parsed = MessageParser::new().parse(mail.as_bytes()).unwrap();
            assert_eq!(parsed.parts.len(), 3);
            assert_eq!(parsed.subject().unwrap(), header_text(text, SUBJECT_CHARACTERS));
            assert_eq!(parsed.from().unwrap().first().unwrap().name(), Some("odd, \"name\" 북"));
        }
    }

    #[test]
    fn odd_senders_are_refused_or_made_safe() {
        assert!(Sender::parse("nobody").is_err());
        assert!(Sender::parse("").is_err());
        let sender = Sender::parse("two\r\nBcc: lines, 북 <w@bücher.example>").unwrap();
        assert_eq!(sender.mailbox.name.as_deref(), Some("two Bcc: lines, 북"));
        assert_eq!(message_id(Id(7), &sender.domain), "<newswatch.000000000007@xn--bcher-kva.example>");
    }
}
