//! A webhook: the message as JSON ([`super::payload`]), or as a template makes it ([`super::template`]), to an address.
//!
//! * **The address is the operator's**: it stands in the configuration, and nothing from outside has a part in it, so it may be
//!   one of this machine or of a private network. No redirect is followed and no part of an answer is acted on, so nobody else
//!   chooses an address either. What is secret in it (Slack's path, Telegram's token) is written as `{token}` and stands
//!   elsewhere; `{id}` is the identity of the message, which Matrix wants in the path. Neither can change the host.
//! * **At least once**: `Idempotency-Key` and `X-Newswatch-Id` are the outbox row, the same with each repeat.
//! * **Signed** when there is a `secret`: `X-Newswatch-Signature: t=SECONDS,v1=HEX`, HMAC-SHA256 over `SECONDS.BODY`. A
//!   receiver compares it and turns down what is older than a few minutes.
//! * **What follows an answer**: 2xx is sent. 400, 413, 422 and their like speak of this message and are for good. All others
//!   speak of the way there (no connection, 5xx, 429 with its Retry-After), of the address or the credentials (401, 403, 404, 410, a
//!   redirect): these are tried again, so that setting them right delivers what waits. An answer that was lost leaves it
//!   uncertain: again, but less often.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, Method};
use sha2::Sha256;
use url::{Host, Url};

use super::payload::Payload;
use super::template::{SHIPPED, Template};
use super::{Channel, DeliveryError, Message, Network};
use crate::config::secret::Secret;
use crate::config::section::{Section, show_duration};
use crate::plain;

/// For name, connection and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Read of an answer: enough for its reason.
const ANSWER_BYTES_MAX: usize = 4 * 1024;
/// A file with a template is no larger.
const TEMPLATE_BYTES_MAX: u64 = 256 * 1024;
/// Where the secret part of an address or a header goes.
const TOKEN: &str = "{token}";
/// Where the identity of the message goes.
const ID: &str = "{id}";
/// Headers that are ours or the connection's.
const OWN_HEADERS: &[&str] =
    &["host", "content-length", "content-type", "transfer-encoding", "connection", "idempotency-key", "user-agent"];

/// The settings of a webhook.
#[derive(Clone)]
struct Webhook {
    /// With its placeholders, so that it can be shown.
    address: String,
    method: Method,
    template: Option<Template>,
    /// Values with their placeholders.
    headers: Vec<(HeaderName, String)>,
    token: Option<Secret>,
    secret: Option<Secret>,
    timeout: Duration,
    /// Past the proxy.
    direct: bool,
    network: Network,
    client: Arc<OnceLock<Client>>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

/// Reads `url`, `method`, `template`, `values`, `headers`, the places of `token` and `secret`, `timeout`, `insecure`, `direct`.
pub fn settings(section: &mut Section<'_>) -> Option<Arc<dyn Channel>> {
    let token = Secret::from_section(section, "token");
    let secret = Secret::from_section(section, "secret");
    let insecure = section.boolean("insecure").unwrap_or(false);
    let address = read_address(section, token.is_some(), insecure);
    let (template, puts) = read_template(section);
    let method = match section.one_of("method", &["POST", "PUT"]) {
        Some("PUT") => Method::PUT,
        Some(_) => Method::POST,
        None if puts => Method::PUT,
        None => Method::POST,
    };
    let headers = read_headers(section, token.is_some());
    let uses_token = address.as_ref().is_some_and(|address| address.contains(TOKEN))
        || headers.iter().any(|(_, value)| value.contains(TOKEN));
    if let Some(key) = ["token_file", "token_credential", "token_env"].into_iter().find(|key| section.has(key))
        && !uses_token
        && address.is_some()
    {
        let advice = "write {token} in `url`, or `headers = { Authorization = \"Bearer {token}\" }`";
        section.problem(key, format!("the token is used nowhere: {advice}"));
    }
    let timeout = section.duration("timeout", Duration::from_secs(1)..=Duration::from_secs(200));
    let direct = section.boolean("direct").unwrap_or(false);
    Some(Arc::new(Webhook {
        address: address?,
        method,
        template: template?,
        headers,
        token,
        secret,
        timeout: timeout.unwrap_or(Duration::from_secs(30)),
        direct,
        network: Network::default(),
        client: Arc::default(),
    }))
}

/// The address with its placeholders in place. They may stand in its path and query only.
fn read_address(section: &mut Section<'_>, has_token: bool, insecure: bool) -> Option<String> {
    let text = section.required_text("url")?;
    let url = section.address("url")?;
    let filled = |with: &str| Url::parse(&text.replace(TOKEN, with).replace(ID, with)).ok();
    let place = |url: &Url| (url.scheme().to_string(), url.host_str().map(str::to_string), url.port());
    let (a, b) = (filled("a")?, filled("b")?);
    if place(&a) != place(&b) {
        section.problem("url", "{token} and {id} may stand behind the host only");
        return None;
    }
    if text.contains(TOKEN) && !has_token {
        section.problem("url", "{token} needs `token_file`, `token_credential` or `token_env`");
        return None;
    }
    for (host, start, written) in [
        ("hooks.slack.com", "/services/", "https://hooks.slack.com/services/{token}"),
        ("discord.com", "/api/webhooks/", "https://discord.com/api/webhooks/{token}/slack"),
        ("api.telegram.org", "/bot", "https://api.telegram.org/bot{token}/sendMessage"),
    ] {
        if url.host_str() == Some(host) && url.path().starts_with(start) && !text.contains(TOKEN) {
            let advice = format!("write `url = \"{written}\"` and put the rest into `token_file`");
            section.problem("url", format!("whoever has this address can write there, so it is a secret: {advice}"));
            return None;
        }
    }
    if url.scheme() == "http" && !insecure && !is_this_machine(&url) {
        let host = url.host_str().unwrap_or_default();
        let advice = "use https, or say `insecure = true`";
        section.problem("url", format!("without encryption what goes to {host} can be read on the way: {advice}"));
    }
    Some(text)
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The template, which may be none, and whether its service wants PUT; the outer `None` when there is a problem.
fn read_template(section: &mut Section<'_>) -> (Option<Option<Template>>, bool) {
    let mut values = BTreeMap::new();
    if let Some(mut table) = section.section("values") {
        for key in table.keys() {
            if let Some(value) = table.text(&key) {
                values.insert(key, value);
            }
        }
        table.finish();
    }
    if !section.has("template") {
        if section.has("values") {
            section.problem("values", "`values` are for a `template`, and there is none");
        }
        return (Some(None), false);
    }
    let Some(name) = section.text("template") else { return (None, false) };
    let shipped = SHIPPED.iter().find(|shipped| shipped.name == name);
    if let Some(shipped) = shipped {
        let missing: Vec<&str> = shipped.needs.iter().filter(|need| !values.contains_key(**need)).copied().collect();
        if !missing.is_empty() {
            let example: Vec<String> = missing.iter().map(|name| format!("{name} = \"…\"")).collect();
            let advice = format!("write `values = {{ {} }}`", example.join(", "));
            section.problem("template", format!("the template {name} needs {}: {advice}", missing.join(" and ")));
            return (None, shipped.put);
        }
    }
    let made = match shipped {
        Some(shipped) => Template::shipped(shipped, values),
        None if name.contains(['/', '.']) => {
            let Some(path) = section.path("template") else { return (None, false) };
            let too_large = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > TEMPLATE_BYTES_MAX);
            let read = if too_large { Err(std::io::Error::other("too large")) } else { std::fs::read_to_string(&path) };
            read.map_err(|error| error.to_string())
                .and_then(|text| Template::new(&path.display().to_string(), &text, values))
                .map_err(|error| format!("{}: {error}", path.display()))
        }
        None => {
            let names: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.name).collect();
            Err(format!("there is no template {name:?}; there are {}, or name a file", names.join(", ")))
        }
    };
    let made = made.map_err(|error| section.problem("template", format!("`template`: {}", plain::line(&error, 500))));
    (made.ok().map(Some), shipped.is_some_and(|shipped| shipped.put))
}

/// The headers, in the order of their names.
fn read_headers(section: &mut Section<'_>, has_token: bool) -> Vec<(HeaderName, String)> {
    let Some(mut table) = section.section("headers") else { return Vec::new() };
    let mut headers = Vec::new();
    for key in table.keys() {
        let Some(value) = table.text(&key) else { continue };
        let wrong = match (HeaderName::from_bytes(key.as_bytes()), HeaderValue::from_str(&value)) {
            (Err(_), _) => Some("this is no name of a header".to_string()),
            (_, Err(_)) => Some("a header is one line of plain characters".to_string()),
            (Ok(name), _) if OWN_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("x-newswatch") => {
                Some("this header is set by newswatch".to_string())
            }
            (Ok(name), _) if is_secret(&name) && !value.contains(TOKEN) => Some(format!(
                "a secret must not stand in the configuration; write `{key} = \"Bearer {TOKEN}\"` and `token_file`"
            )),
            _ if value.contains(TOKEN) && !has_token => {
                Some(format!("{TOKEN} needs `token_file`, `token_credential` or `token_env`"))
            }
            (Ok(name), Ok(_)) => {
                headers.push((name, value));
                None
            }
        };
        if let Some(wrong) = wrong {
            table.problem(&key, wrong);
        }
    }
    table.finish();
    headers
}

/// Headers that hold nothing but a secret.
fn is_secret(name: &HeaderName) -> bool {
    ["authorization", "proxy-authorization", "cookie"].contains(&name.as_str())
        || ["token", "secret", "password", "api-key", "apikey"].iter().any(|word| name.as_str().contains(word))
}

impl Channel for Webhook {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn describe(&self) -> String {
        let form =
            self.template.as_ref().map_or(String::new(), |template| format!(" by the template {}", template.name));
        let signed = if self.secret.is_some() { ", signed" } else { "" };
        format!("{} to {}{form}{signed}", self.method, self.address)
    }

    fn needs_recipients(&self) -> bool {
        false
    }

    fn on_network(&self, network: &Network) -> Option<Arc<dyn Channel>> {
        Some(Arc::new(Webhook { network: network.clone(), client: Arc::default(), ..self.clone() }))
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(self.send(message))
    }
}

impl Webhook {
    async fn send(&self, message: &Message) -> Result<(), DeliveryError> {
        let payload = Payload::of(message);
        let body = match &self.template {
            // Another template may do better.
            Some(template) => template
                .body(&payload)
                .map_err(|error| DeliveryError::Temporary(format!("the template {}: {error}", template.name)))?,
            None => payload.json(),
        };
        let token = self.token.as_ref().map(read_token).transpose()?;
        let url = self.url(message, token.as_deref())?;
        let headers = self.headers(message, &body, token.as_deref())?;
        let without_secrets = |text: &str| {
            let text = match &token {
                Some(token) => text.replace(token.as_str(), "***"),
                None => text.to_string(),
            };
            plain::line(&text, 300)
        };
        let sent = self.client()?.request(self.method.clone(), url).headers(headers).body(body).send().await;
        let mut answer = sent.map_err(|error| {
            // Without a connection it was not taken; without an answer nobody knows.
            let kind = if error.is_connect() { DeliveryError::Temporary } else { DeliveryError::Uncertain };
            kind(without_secrets(&self.in_words(error)))
        })?;
        let (status, wait) = (answer.status().as_u16(), answer.headers().get(RETRY_AFTER).cloned());
        if (200..300).contains(&status) {
            return Ok(());
        }
        let said = without_secrets(&beginning(&mut answer).await);
        let wait = wait.and_then(|header| retry_after(header.to_str().ok()?, message.attempted_at));
        Err(verdict(status, wait, &said))
    }

    fn url(&self, message: &Message, token: Option<&str>) -> Result<Url, DeliveryError> {
        let text = self.address.replace(ID, &message.id.to_string()).replace(TOKEN, token.unwrap_or_default());
        // The error would show the address.
        Url::parse(&text).map_err(|_| DeliveryError::Temporary("with its token `url` is no address".to_string()))
    }

    fn headers(&self, message: &Message, body: &str, token: Option<&str>) -> Result<HeaderMap, DeliveryError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let value = value.replace(TOKEN, token.unwrap_or_default()).replace(ID, &message.id.to_string());
            let unfit = |_| DeliveryError::Temporary(format!("with its token the header {name} is none"));
            let mut value = HeaderValue::from_str(&value).map_err(unfit)?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("newswatch/", env!("CARGO_PKG_VERSION"))));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut own = vec![
            ("idempotency-key", message.id.to_string()),
            ("x-newswatch-id", message.id.to_string()),
            ("x-newswatch-kind", message.kind.as_str().to_string()),
        ];
        if let Some(secret) = &self.secret {
            let secret = secret.read().map_err(DeliveryError::Temporary)?;
            own.push(("x-newswatch-signature", signature(&secret, message.attempted_at.as_second(), body)));
        }
        for (name, value) in own {
            // Letters, digits and signs of our own.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        Ok(headers)
    }

    /// Made when it is first needed. Connections are not kept: messages are few, and one that was closed meanwhile would cost an
    /// attempt.
    fn client(&self) -> Result<Client, DeliveryError> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let wrong = |error: String| DeliveryError::Temporary(format!("the HTTP client cannot be made: {error}"));
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(self.timeout)
            .pool_max_idle_per_host(0);
        if let Some(path) = &self.network.ca_file {
            let named = |error: &dyn std::fmt::Display| wrong(format!("fetch.ca_file {}: {error}", path.display()));
            let pem = std::fs::read(path).map_err(|error| named(&error))?;
            builder =
                builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| named(&error))?);
        }
        if let Some(proxy) = self.proxy() {
            builder = builder.proxy(reqwest::Proxy::all(proxy.clone()).map_err(|error| wrong(error.to_string()))?);
        }
        let client = builder.build().map_err(|error| wrong(error.to_string()))?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    /// The way out is that of all requests, but what is on this machine is not asked by way of another one.
    fn proxy(&self) -> Option<&Url> {
        let here = Url::parse(&self.address).is_ok_and(|url| is_this_machine(&url));
        self.network.proxy.as_ref().filter(|_| !here && !self.direct)
    }

    /// A network error with its causes, without the address, which may hold a secret.
    fn in_words(&self, error: reqwest::Error) -> String {
        let error = error.without_url();
        if error.is_timeout() {
            let by = if self.proxy().is_some() { " by the proxy (fetch.proxy)" } else { "" };
            return format!("no answer within {}{by}", show_duration(self.timeout));
        }
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        let what = if error.is_connect() { "cannot connect" } else { "the connection broke" };
        let advice = if causes.iter().any(|cause| cause.contains("certificate")) {
            "; verification is never switched off, but fetch.ca_file can add an authority"
        } else {
            ""
        };
        format!("{what}: {}{advice}", causes.last().map_or("no cause is known", String::as_str))
    }
}

/// The token, if it can stand in an address and in a header.
fn read_token(token: &Secret) -> Result<String, DeliveryError> {
    let text = token.read().map_err(DeliveryError::Temporary)?;
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '\\' | '"' | '<' | '>');
    if text.is_empty() || !text.chars().all(fits) || text.contains("..") {
        let error = "the token holds characters that cannot stand in an address or a header (none is shown)";
        return Err(DeliveryError::Temporary(error.to_string()));
    }
    Ok(text)
}

/// What follows from an answer that is not 2xx.
fn verdict(status: u16, wait: Option<Duration>, said: &str) -> DeliveryError {
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let error = format!("status {status}{said}");
    match status {
        300..=399 => DeliveryError::Temporary(format!("{error} (a redirect, which is not followed: set `url` right)")),
        401 | 403 | 404 | 405 | 407 | 410 => {
            DeliveryError::Temporary(format!("{error} (set `url` or the token right)"))
        }
        408 | 425 | 429 | 500..=599 => match wait {
            Some(wait) => DeliveryError::Busy { error, wait },
            None => DeliveryError::Temporary(error),
        },
        400..=499 => DeliveryError::Permanent(error),
        _ => DeliveryError::Temporary(error),
    }
}

/// How long the other side wants to be left alone: seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let at = Timestamp::try_from(httpdate::parse_http_date(header).ok()?).ok()?;
    at.duration_since(now).try_into().ok()
}

/// The beginning of an answer's body; empty when there is none.
async fn beginning(answer: &mut reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        bytes.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - bytes.len())]);
        if bytes.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `t=SECONDS,v1=HEX`: HMAC-SHA256 over `SECONDS.BODY`.
fn signature(secret: &str, seconds: i64, body: &str) -> String {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::super::payload::tests::{at, hit, message};
    use super::*;
    use crate::model::DeliveryKind;
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn read(text: &str) -> (Option<Arc<dyn Channel>>, Vec<String>) {
        super::super::from_text(settings, text)
    }

    #[track_caller]
    fn channel(text: &str) -> Arc<dyn Channel> {
        let (channel, problems) = read(text);
        assert_eq!(problems, [""; 0]);
        channel.unwrap()
    }

    /// A server that gives one answer after another and keeps what it was asked.
    async fn server(answers: &'static [&'static str]) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = asked.clone();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = Vec::new();
                loop {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                        if body.len() >= length.parse().unwrap() {
                            break kept.lock().unwrap().push(text);
                        }
                    }
                    bytes.push(stream.read_u8().await.unwrap());
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (address, asked)
    }

    const YES: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    #[tokio::test]
    async fn a_message_is_posted_signed_and_recognisable() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "key\n").unwrap();
        let (address, asked) = server(&[YES, YES]).await;
        let hook = channel(&format!(
            "url = \"{address}/in\"\nsecret_file = \"{}\"\nheaders = {{ X-Room = \"desk\" }}\n",
            folder.path().join("secret").display()
        ));
        let message = message(DeliveryKind::Alert, vec![hit(1, "One")]);
        assert_eq!(hook.deliver(&message).await, Ok(()));
        assert_eq!(hook.deliver(&message).await, Ok(()));
        let asked = asked.lock().unwrap();
        for request in asked.iter() {
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("POST /in HTTP/1.1\r\n"), "{head}");
            for line in [
                "content-type: application/json",
                "idempotency-key: 000000000005",
                "x-newswatch-id: 000000000005",
                "x-newswatch-kind: alert",
                "x-room: desk",
                concat!("user-agent: newswatch/", env!("CARGO_PKG_VERSION")),
            ] {
                assert!(head.contains(line), "{line} is missing in {head}");
            }
            assert_eq!(body, Payload::of(&message).json());
            let given = head.lines().find_map(|line| line.strip_prefix("x-newswatch-signature: ")).unwrap();
            let seconds = given.split(['=', ',']).nth(1).unwrap().parse().unwrap();
            assert_eq!(given, signature("key", seconds, body));
        }
    }

    #[test]
    fn the_signature_is_that_of_other_programs() {
        // python3 -c 'import hmac; print(hmac.new(b"key", b"1800000000.{}", "sha256").hexdigest())'
        let expected = "t=1800000000,v1=7321475872b03ff21bdc2dfd86ea2d99ec29c479fbe4a77aa6acf4509505493f";
        assert_eq!(signature("key", 1_800_000_000, "{}"), expected);
    }

    #[tokio::test]
    async fn placeholders_are_filled_and_the_token_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "T0/B0/s3cret\n").unwrap();
        const REFUSED: &str = "HTTP/1.1 401 No\r\nContent-Length: 21\r\n\r\nwrong: T0/B0/s3cret\r\n";
        let (address, asked) = server(&[YES, REFUSED]).await;
        let hook = channel(&format!(
            "url = \"{address}/services/{{token}}/send/{{id}}\"\ntemplate = \"matrix\"\ntoken_file = \"{}\"\n\
             headers = {{ Authorization = \"Bearer {{token}}\" }}\n",
            token.display()
        ));
        let shown = format!("PUT to {address}/services/{{token}}/send/{{id}} by the template matrix");
        assert_eq!((hook.describe(), format!("{hook:?}")), (shown.clone(), shown));
        let message = message(DeliveryKind::Alert, vec![hit(1, "One")]);
        assert_eq!(hook.deliver(&message).await, Ok(()));
        let error = hook.deliver(&message).await.unwrap_err();
        assert_eq!(error.to_string(), "status 401: wrong: *** (set `url` or the token right)");
        assert!(matches!(error, DeliveryError::Temporary(_)));
        let request = asked.lock().unwrap()[0].clone();
        assert!(request.starts_with("PUT /services/T0/B0/s3cret/send/000000000005 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("authorization: Bearer T0/B0/s3cret\r\n"), "{request}");
        std::fs::write(&token, "a\r\nX-Evil: 1\n").unwrap();
        let error = hook.deliver(&message).await.unwrap_err().to_string();
        assert!(error.contains("cannot stand in an address") && !error.contains("Evil"), "{error}");
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (other, asked) = server(&[YES]).await;
        let redirect: &'static str =
            Box::leak(format!("HTTP/1.1 307 Go\r\nLocation: {other}/\r\nContent-Length: 0\r\n\r\n").into_boxed_str());
        let answers: &'static [&'static str] = Box::leak(vec![redirect].into_boxed_slice());
        let (address, _) = server(answers).await;
        let error = channel(&format!("url = \"{address}\"\n")).deliver(&message(DeliveryKind::Alert, vec![])).await;
        assert!(matches!(&error, Err(DeliveryError::Temporary(text)) if text.contains("not followed")), "{error:?}");
        assert!(asked.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_goes_wrong_on_the_way_is_tried_again() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let message = message(DeliveryKind::Alert, vec![]);
        let error = channel(&format!("url = \"http://{free}/x?y=secret\"\n")).deliver(&message).await;
        assert!(
            matches!(&error, Err(DeliveryError::Temporary(text)) if text.starts_with("cannot connect: ") && !text.contains("secret")),
            "{error:?}"
        );
        let (address, _) = server(&["HTTP/1.1 429 Slow\r\nRetry-After: 90\r\nContent-Length: 0\r\n\r\n", ""]).await;
        let hook = channel(&format!("url = \"{address}\"\n"));
        let later = DeliveryError::Busy { error: "status 429".into(), wait: Duration::from_secs(90) };
        assert_eq!(hook.deliver(&message).await, Err(later));
        let broken = hook.deliver(&message).await;
        assert!(
            matches!(&broken, Err(DeliveryError::Uncertain(text)) if text.starts_with("the connection broke")),
            "{broken:?}"
        );
    }

    #[tokio::test]
    async fn the_authority_of_the_house_is_trusted_when_fetch_names_it() {
        use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
        use tokio_rustls::rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
        let mut parameters = CertificateParams::new(vec![]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &issuer).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    _ = stream.read(&mut [0; 65_536]).await;
                    _ = stream.write_all(YES.as_bytes()).await;
                    _ = stream.shutdown().await;
                }
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, issuer.pem()).unwrap();
        let hook = channel(&format!("url = \"https://localhost:{port}/\"\n"));
        let message = message(DeliveryKind::Alert, vec![]);
        let error = hook.deliver(&message).await;
        assert!(
            matches!(&error, Err(DeliveryError::Temporary(text)) if text.contains("fetch.ca_file can add")),
            "{error:?}"
        );
        let hook = hook.on_network(&Network { proxy: None, ca_file: Some(ca_file) }).unwrap();
        assert_eq!(hook.deliver(&message).await, Ok(()));
    }

    #[test]
    fn each_status_has_its_meaning() {
        let wait = Some(Duration::from_secs(5));
        for status in [400, 402, 406, 413, 415, 422, 451] {
            assert!(matches!(verdict(status, wait, ""), DeliveryError::Permanent(_)), "{status}");
        }
        for status in [101, 301, 308, 401, 403, 404, 410, 600] {
            assert!(matches!(verdict(status, wait, ""), DeliveryError::Temporary(_)), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(verdict(status, wait, ""), DeliveryError::Busy { .. }), "{status}");
            assert!(matches!(verdict(status, None, ""), DeliveryError::Temporary(_)), "{status}");
        }
        let now = at(0);
        for (header, seconds) in [
            ("120", Some(120)),
            ("99999999999999999999999", Some(u64::from(u32::MAX))),
            ("Fri, 15 Jan 2027 08:01:00 GMT", Some(60)),
            ("Fri, 15 Jan 2027 07:00:00 GMT", None),
            ("soon", None),
            ("", None),
            ("-1", None),
        ] {
            assert_eq!(retry_after(header, now), seconds.map(Duration::from_secs), "{header}");
        }
    }

    #[test]
    fn the_proxy_is_for_other_machines() {
        let network = Network { proxy: Some(Url::parse("http://proxy.example:3128").unwrap()), ca_file: None };
        let webhook = |address: &str, direct: bool| Webhook {
            address: address.into(),
            method: Method::POST,
            template: None,
            headers: vec![],
            token: None,
            secret: None,
            timeout: Duration::from_secs(1),
            direct,
            network: network.clone(),
            client: Arc::default(),
        };
        assert!(webhook("https://hooks.example/", false).proxy().is_some());
        assert!(webhook("https://hooks.example/", true).proxy().is_none());
        for here in ["http://localhost:8080/", "http://127.0.0.1/", "http://[::1]/"] {
            assert!(webhook(here, false).proxy().is_none(), "{here}");
        }
    }

    #[test]
    fn mistakes_are_named_with_advice() {
        for (text, expected) in [
            (
                "url = \"https://hooks.slack.com/services/T0/B0/x\"\n",
                "it is a secret: write `url = \"https://hooks.slack.com/services/{token}\"`",
            ),
            ("url = \"http://hooks.example/\"\n", "use https, or say `insecure = true`"),
            ("url = \"https://a.example/{token}\"\n", "{token} needs `token_file`"),
            ("url = \"https://{id}.example/\"\n", "behind the host only"),
            ("url = \"ftp://a.example/\"\n", "must be an http or https address"),
            (
                "url = \"https://a.example/\"\nheaders = { Authorization = \"Bearer x\" }\n",
                "must not stand in the configuration",
            ),
            ("url = \"https://a.example/\"\nheaders = { Host = \"b\" }\n", "set by newswatch"),
            ("url = \"https://a.example/\"\nheaders = { X-A = \"b\\nc\" }\n", "one line"),
            (
                "url = \"https://a.example/\"\ntemplate = \"slak\"\n",
                "there is no template \"slak\"; there are slack, ntfy",
            ),
            ("url = \"https://a.example/\"\ntemplate = \"ntfy\"\n", "needs topic: write `values = { topic = \"…\" }`"),
            ("url = \"https://a.example/\"\ntemplate = \"none.json\"\n", "none.json: No such file"),
            ("url = \"https://a.example/\"\nvalues = { a = \"b\" }\n", "there is none"),
            ("url = \"https://a.example/\"\ntoken_env = \"PATH\"\n", "used nowhere"),
            ("url = \"https://a.example/\"\nsecret = \"x\"\n", "a secret must not stand in the configuration"),
            ("url = \"https://a.example/\"\nmethod = \"GET\"\n", "`method` cannot be \"GET\""),
        ] {
            let (_, problems) = read(text);
            assert!(problems.len() == 1 && problems[0].contains(expected), "{text}: {problems:?}");
        }
    }
}
