//! The shipped configuration, unchanged but for a proxy and a CA file, against a proxy on loopback that plays the real hosts.
//!
//! The proxy takes CONNECT, presents a certificate for whatever host is asked, signed by its own authority, and answers from
//! files. So names, addresses, selectors, TLS and the proxy setting of the shipped files are tried as they will be used.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::{Folder, manifest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Host and path → media type and file.
const ANSWERS: &[(&str, &str, &str)] = &[
    ("press.un.org/en/rss.xml", "application/rss+xml", "un-press.xml"),
    (
        "www.gov.uk/government/organisations/office-of-financial-sanctions-implementation.atom",
        "application/atom+xml",
        "ofsi.atom",
    ),
    ("ofac.treasury.gov/recent-actions", "text/html; charset=utf-8", "ofac-recent.html"),
    ("ofac.treasury.gov/recent-actions/20261119", "text/html; charset=utf-8", "ofac-article.html"),
];

type Issuer = CertifiedIssuer<'static, KeyPair>;

struct Proxy {
    address: String,
    authority: String,
    asked: Arc<Mutex<BTreeSet<String>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Proxy {
    fn start() -> Proxy {
        let mut parameters = CertificateParams::new(vec![]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = Arc::new(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap());
        let authority = issuer.pem();
        let asked: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = asked.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(tunnel(stream, issuer.clone(), seen.clone()));
            }
        });
        Proxy { address, authority, asked, _runtime: runtime }
    }
}

/// Reads up to the empty line that ends a request's head.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(bytes).ok()
}

async fn tunnel(
    mut stream: tokio::net::TcpStream,
    issuer: Arc<Issuer>,
    asked: Arc<Mutex<BTreeSet<String>>>,
) -> Option<()> {
    let first = head(&mut stream).await?;
    let target = first.split(' ').nth(1)?.to_string();
    let Some(host) = target.strip_suffix(":443").filter(|_| first.starts_with("CONNECT ")) else {
        return answer(
            &mut stream,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".as_bytes(),
        )
        .await;
    };
    answer(&mut stream, b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    let key = KeyPair::generate().ok()?;
    let certificate = CertificateParams::new(vec![host.to_string()]).ok()?.signed_by(&key, &issuer).ok()?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).ok()?;
    let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
    loop {
        let request = head(&mut stream).await?;
        let place = format!("{host}{}", request.split(' ').nth(1)?);
        asked.lock().unwrap().insert(place.clone());
        match ANSWERS.iter().find(|(known, _, _)| *known == place) {
            Some((_, media_type, file)) => {
                let body = std::fs::read(manifest("tests/data/shipped").join(file)).ok()?;
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n", body.len());
                answer(&mut stream, &[head.as_bytes(), &body].concat()).await?;
            }
            None => answer(&mut stream, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await?,
        }
    }
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()
}

#[test]
fn it_reads_a_feed_a_page_and_an_article_through_a_proxy() {
    let proxy = Proxy::start();
    let shipped = std::fs::read_to_string(manifest("config/newswatch.toml")).unwrap();
    assert_eq!(shipped.matches("\n[fetch]\n").count(), 1);
    let own = format!("\n[fetch]\nproxy = \"{}\"\nca_file = \"ca.pem\"\n", proxy.address);
    let folder = Folder::new(&shipped.replace("\n[fetch]\n", &own));
    folder.write("ca.pem", &proxy.authority);
    for name in ["sources.d", "profiles.d", "aliases.d"] {
        for entry in std::fs::read_dir(manifest("config").join(name)).unwrap() {
            let path = entry.unwrap().path();
            let file = format!("{name}/{}", path.file_name().unwrap().to_str().unwrap());
            folder.write(&file, &std::fs::read_to_string(path).unwrap());
        }
    }
    folder.run(&["check"]).ok();
    folder.run(&["run", "--once", "--backlog"]).ok();

    let list = folder.run(&["source", "list", "--json"]).ok().out;
    for (name, items) in [("un-press", 2), ("ofsi", 1), ("ofac-recent", 2)] {
        let row = list
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .find(|row| row["name"] == name)
            .unwrap();
        assert_eq!((row["health"].as_str(), row["items"].as_i64()), (Some("fine"), Some(items)), "{row}");
    }
    let hits: Vec<serde_json::Value> =
        folder.run(&["hits", "--json"]).ok().out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let hit = |source: &str, profile: &str| hits.iter().any(|hit| hit["source"] == source && hit["profile"] == profile);
    assert!(hit("un-press", "panel-of-experts"), "{hits:#?}");
    assert!(hit("ofac-recent", "russian-exchanges"), "found by the article's text alone: {hits:#?}");
    let page = hits.iter().find(|hit| hit["source"] == "ofac-recent").unwrap();
    assert_eq!((page["article"].as_str(), page["published"].as_str()), (Some("read"), Some("2026-11-19T00:00:00Z")));
    // Every enabled source was asked, and by its own name.
    let asked = proxy.asked.lock().unwrap();
    assert!(asked.len() > 40, "{asked:?}");
}
