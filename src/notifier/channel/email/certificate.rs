//! What a server's certificate says of itself (RFC 5280), for a person who looks for what is wrong: its names and until when
//! it is valid. Whether it is trusted is decided elsewhere. Bytes in, values out; whatever is not understood is left out.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::plain;

/// Names shown of one certificate.
const NAMES_MAX: usize = 20;

/// Tags of DER (X.690).
const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;
const OBJECT: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// The extension that holds the names: 2.5.29.17.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// What a certificate says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Servers it is for.
    pub(super) names: Vec<String>,
    /// The end of its time.
    pub(super) not_after: Option<Timestamp>,
}

/// Reads a certificate.
pub(super) fn read(der: &[u8]) -> Option<Certificate> {
    let signed = Der(der).inside(SEQUENCE)?.inside(SEQUENCE)?;
    let mut fields = signed;
    let mut first = fields.element()?;
    if first.0 == VERSION {
        first = fields.element()?;
    }
    // That was the serial number; signature algorithm and issuer follow.
    let _ = (first, fields.element()?, fields.element()?);
    let mut validity = fields.inside(SEQUENCE)?;
    validity.element()?;
    let not_after = validity.element().and_then(|(tag, text)| time(tag, text));
    let mut names = Vec::new();
    while let Some((tag, content)) = fields.element() {
        if tag == EXTENSIONS {
            names = alternative_names(Der(content)).unwrap_or_default();
        }
    }
    Some(Certificate { names, not_after })
}

fn alternative_names(mut extensions: Der<'_>) -> Option<Vec<String>> {
    let mut extensions = extensions.inside(SEQUENCE)?;
    while let Some((_, content)) = extensions.element() {
        let mut extension = Der(content);
        if extension.element()? != (OBJECT, ALTERNATIVE_NAMES) {
            continue;
        }
        // Whether it is critical may stand in between.
        let value = std::iter::from_fn(|| extension.element()).find(|(tag, _)| *tag == OCTET_STRING)?.1;
        let mut found = Der(value).inside(SEQUENCE)?;
        let names = std::iter::from_fn(|| found.element()).filter_map(|(tag, name)| match tag {
            DNS_NAME => Some(plain::line(&String::from_utf8_lossy(name), 253)),
            IP_ADDRESS => address(name),
            _ => None,
        });
        return Some(names.take(NAMES_MAX).collect());
    }
    None
}

fn address(bytes: &[u8]) -> Option<String> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        _ => None,
    }
}

/// "YYMMDDhhmmssZ" (years 1950 to 2049) or "YYYYMMDDhhmmssZ".
fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let full = match tag {
        UTC_TIME => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_string(),
        _ => return None,
    };
    let at = DateTime::strptime("%Y%m%d%H%M%SZ", full).ok()?;
    at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
}

/// The rest of a run of elements.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element: its tag and content.
    fn element(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag, short, rest @ ..] = self.0 else { return None };
        let (length, rest) = match short {
            0..=0x7f => (usize::from(*short), rest),
            // The long form: so many bytes of length follow. No certificate needs more than three.
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    /// What is inside the next element, if it has this tag.
    fn inside(&mut self, tag: u8) -> Option<Der<'a>> {
        self.element().filter(|(found, _)| *found == tag).map(|(_, content)| Der(content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_the_last_day_are_read() {
        let names = vec!["mail.example.org".to_string(), "*.example.net".to_string(), "192.0.2.7".to_string()];
        let mut wanted = rcgen::CertificateParams::new(names.clone()).unwrap();
        wanted.not_after = rcgen::date_time_ymd(2031, 5, 4);
        let made = wanted.clone().self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let read_back = read(made.der()).unwrap();
        assert_eq!(read_back.names, names);
        assert_eq!(read_back.not_after, Some("2031-05-04T00:00:00Z".parse().unwrap()));
        wanted.not_after = rcgen::date_time_ymd(2150, 1, 1);
        let late = wanted.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        assert_eq!(read(late.der()).unwrap().not_after, Some("2150-01-01T00:00:00Z".parse().unwrap()));
        // Cut anywhere or with any byte changed it is rubbish, but harmless.
        for cut in 0..made.der().len() {
            let _ = read(&made.der()[..cut]);
            let mut bent = made.der().to_vec();
            bent[cut] ^= 0xff;
            let _ = read(&bent);
        }
    }
}
