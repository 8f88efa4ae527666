//! Tokens that say what somebody thinks of an item: made for a link in a mail, read back from the answer. Pure.
//!
//! A token holds item, profile, verdict and recipient in the clear, and a signature over them: whoever does not know the key
//! can neither make nor alter one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::model::{Id, Verdict};

/// First byte of every token; another form gets another.
const VERSION: u8 = 1;
/// Bytes of the signature that are kept: 128 bits nobody guesses, and links stay short.
const SIGNATURE_BYTES: usize = 16;
/// A longer text is no token.
const TOKEN_BYTES_MAX: usize = 600;
/// Keeps these signatures apart from any other use of the key.
const PURPOSE: &[u8] = b"newswatch verdict\0";

/// The secret that signs. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(not shown)")
    }
}

impl Key {
    /// The least that is a secret.
    pub const BYTES_MIN: usize = 16;

    /// From a secret text or bytes; `None` when it is too short to be one.
    pub fn new(secret: &[u8]) -> Option<Key> {
        (secret.len() >= Key::BYTES_MIN).then(|| Key(secret.to_vec()))
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The item.
    pub item: Id,
    /// Name of the profile.
    pub profile: String,
    /// What is said of it.
    pub verdict: Verdict,
    /// Whom the token was made for.
    pub recipient: String,
}

/// Makes the token.
pub fn sign(claim: &Claim, key: &Key) -> String {
    let mut bytes = content(claim);
    let signature = signature(&bytes, key).finalize().into_bytes();
    bytes.extend_from_slice(&signature[..SIGNATURE_BYTES]);
    BASE64.encode(bytes)
}

/// Reads a token back; `None` when it was not made with this key, or altered.
pub fn read(token: &str, key: &Key) -> Option<Claim> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let bytes = BASE64.decode(token).ok()?;
    let (content, signed) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE_BYTES)?)?;
    // In constant time: how much of it is right must not show.
    signature(content, key).verify_truncated_left(signed).ok()?;
    let (head, rest) = content.split_at_checked(11)?;
    let (&[VERSION, verdict], item, length) = (head.first_chunk::<2>()?, &head[2..10], usize::from(head[10])) else {
        return None;
    };
    let (profile, recipient) = rest.split_at_checked(length)?;
    Some(Claim {
        item: Id(i64::from_be_bytes(item.try_into().ok()?)),
        profile: String::from_utf8(profile.to_vec()).ok()?,
        verdict: *Verdict::ALL.get(usize::from(verdict))?,
        recipient: String::from_utf8(recipient.to_vec()).ok()?,
    })
}

fn content(claim: &Claim) -> Vec<u8> {
    // Names of profiles have at most 64 bytes.
    let profile = &claim.profile.as_bytes()[..claim.profile.len().min(255)];
    let verdict = Verdict::ALL.iter().position(|verdict| *verdict == claim.verdict).unwrap_or_default();
    let mut bytes = vec![VERSION, verdict as u8];
    bytes.extend_from_slice(&claim.item.0.to_be_bytes());
    bytes.push(profile.len() as u8);
    bytes.extend_from_slice(profile);
    bytes.extend_from_slice(claim.recipient.as_bytes());
    bytes
}

fn signature(content: &[u8], key: &Key) -> Hmac<Sha256> {
    // A key of any length is one for HMAC.
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(PURPOSE);
    mac.update(content);
    mac
}

/// How the subject of an answer begins.
const SUBJECT: &str = "newswatch verdict ";

/// A link that writes the answer: one click, and the mail is ready to be sent.
pub fn link(address: &str, claim: &Claim, key: &Key) -> String {
    format!("mailto:{address}?subject={}{}", SUBJECT.replace(' ', "%20"), sign(claim, key))
}

/// The token in the subject of an answer; "Re:" and the like may stand before.
pub fn in_subject(subject: &str) -> Option<&str> {
    let at = subject.to_ascii_lowercase().find(SUBJECT)?;
    let token = subject.get(at + SUBJECT.len()..)?.trim();
    let end = token.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').unwrap_or(token.len());
    (end > 0).then(|| &token[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        Claim {
            item: Id(0x0123_4567_89ab_cdef),
            profile: "apg".into(),
            verdict: Verdict::Not,
            recipient: "anna@example.org".into(),
        }
    }

    #[test]
    fn a_token_reads_back_only_with_its_key_and_unaltered() {
        let (key, other) = (Key::new(&[7; 32]).unwrap(), Key::new(&[8; 32]).unwrap());
        let token = sign(&claim(), &key);
        assert_eq!(read(&token, &key), Some(claim()));
        assert_eq!(read(&token, &other), None);
        let mut bytes = BASE64.decode(&token).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert_eq!(read(&BASE64.encode(&bytes), &key), None, "byte {at} was altered");
            bytes[at] ^= 1;
        }
        for cut in 0..token.len() {
            assert_eq!(read(&token[..cut], &key), None);
        }
        assert_eq!(read(&"A".repeat(10_000), &key), None);
        assert_eq!(Key::new(b"short"), None);
        assert_eq!(format!("{key:?}"), "Key(not shown)");
        // What stands on both sides of a border is kept apart.
        let moved = Claim { profile: "apga".into(), recipient: "nna@example.org".into(), ..claim() };
        assert_ne!(sign(&moved, &key), token);
    }

    #[test]
    fn the_token_is_found_in_the_subject_of_an_answer() {
        let key = Key::new(&[7; 32]).unwrap();
        let token = sign(&claim(), &key);
        let link = link("verdicts@example.org", &claim(), &key);
        assert_eq!(link, format!("mailto:verdicts@example.org?subject=newswatch%20verdict%20{token}"));
        for subject in [
            format!("newswatch verdict {token}"),
            format!("Re: [ext] Newswatch Verdict  {token} "),
            format!("newswatch verdict {token}."),
        ] {
            assert_eq!(in_subject(&subject), Some(token.as_str()), "{subject}");
        }
        for subject in ["", "newswatch verdict ", "newswatch: 3 hits", "newswatch verdict \u{202e}x"] {
            assert_eq!(in_subject(subject), None, "{subject}");
        }
    }
}
