//! What the whole-program tests share: a folder with a configuration, the real binary, and a small web server.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// A folder with a configuration and a store of its own.
pub struct Folder {
    pub folder: tempfile::TempDir,
}

impl Folder {
    /// The configuration's general part; profiles and sources stand beside it.
    pub fn new(text: &str) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let own = Folder { folder };
        own.write("newswatch.toml", text);
        own
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) -> &Folder {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// The binary with this configuration, its state in the same folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_newswatch"));
        command
            .arg("-c")
            .arg(self.path())
            .args(arguments)
            .env("STATE_DIRECTORY", self.path())
            .env("NO_COLOR", "1")
            .env_remove("NEWSWATCH_LOG")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }
}

/// What a run of the binary gave.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    #[track_caller]
    pub fn says(&self, part: &str) -> &Ran {
        assert!(self.out.contains(part) || self.err.contains(part), "{part:?} is missing in {self:#?}");
        self
    }

    #[track_caller]
    pub fn never_says(&self, part: &str) -> &Ran {
        assert!(!self.out.contains(part) && !self.err.contains(part), "{part:?} stands in {self:#?}");
        self
    }
}

/// What a path answers.
#[derive(Clone)]
pub struct Page {
    pub status: u16,
    pub media_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

pub fn page(media_type: &'static str, body: impl Into<Vec<u8>>) -> Page {
    Page { status: 200, media_type, headers: Vec::new(), body: body.into() }
}

/// An answer with this status and header, and no body.
pub fn answer(status: u16, header: &'static str, value: impl Into<String>) -> Page {
    Page { status, headers: vec![(header, value.into())], ..page("text/plain", "") }
}

/// A web server on loopback whose pages can be changed; answers 304 to the right ETag and keeps what it was asked.
pub struct Web {
    pub base: String,
    pub pages: Arc<Mutex<BTreeMap<String, Page>>>,
    pub asked: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    /// When each of `asked` came.
    pub asked_at: Arc<Mutex<Vec<std::time::Instant>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Web {
    pub fn start() -> Web {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let pages: Arc<Mutex<BTreeMap<String, Page>>> = Arc::default();
        let asked: Arc<Mutex<Vec<(String, HeaderMap)>>> = Arc::default();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked_at: Arc<Mutex<Vec<std::time::Instant>>> = Arc::default();
        let router = axum::Router::new().fallback(serve).with_state((pages.clone(), asked.clone(), asked_at.clone()));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Web { base, pages, asked, asked_at, _runtime: runtime }
    }

    pub fn put(&self, path: &str, page: Page) -> &Web {
        self.pages.lock().unwrap().insert(path.to_string(), page);
        self
    }

    /// When a path was asked for.
    pub fn times(&self, path: &str) -> Vec<std::time::Instant> {
        let asked = self.asked.lock().unwrap();
        let times = self.asked_at.lock().unwrap();
        asked.iter().zip(times.iter()).filter(|((asked, _), _)| asked == path).map(|(_, at)| *at).collect()
    }

    pub fn requests(&self, path: &str) -> Vec<HeaderMap> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .filter(|(asked, _)| asked == path)
            .map(|(_, headers)| headers.clone())
            .collect()
    }
}

type Shared =
    (Arc<Mutex<BTreeMap<String, Page>>>, Arc<Mutex<Vec<(String, HeaderMap)>>>, Arc<Mutex<Vec<std::time::Instant>>>);

async fn serve(State((pages, asked, asked_at)): State<Shared>, uri: Uri, headers: HeaderMap) -> Response {
    {
        let mut asked = asked.lock().unwrap();
        asked.push((uri.path().to_string(), headers.clone()));
        asked_at.lock().unwrap().push(std::time::Instant::now());
    }
    let Some(page) = pages.lock().unwrap().get(uri.path()).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = HeaderValue::from_str(&format!("\"{:x}\"", xxhash_rust::xxh3::xxh3_64(&page.body))).unwrap();
    if headers.get(header::IF_NONE_MATCH) == Some(&tag) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let status = StatusCode::from_u16(page.status).unwrap();
    let head = [(header::CONTENT_TYPE, HeaderValue::from_static(page.media_type)), (header::ETAG, tag)];
    let mut response = (status, head, page.body).into_response();
    for (name, value) in page.headers {
        response.headers_mut().insert(name, HeaderValue::from_str(&value).unwrap());
    }
    response
}

/// An RSS feed of these items: key, title, description.
pub fn rss(base: &str, items: &[(&str, &str, &str)]) -> Page {
    let items: String = items
        .iter()
        .map(|(key, title, text)| {
            format!("<item><title>{title}</title><link>{base}/a/{key}</link><guid>{key}</guid><description>{text}</description></item>")
        })
        .collect();
    page("application/rss+xml", format!("<rss version=\"2.0\"><channel><title>Wire</title>{items}</channel></rss>"))
}

pub const PROFILE: &str = "name = \"seat\"\ntitle = \"The observer seat\"\nthreshold = 1.0\n\n[[phrase]]\ntext = \"observer seat\"\nweight = 1.0\n";

/// A configuration that polls loopback and writes hits to `hits.log` in its folder.
pub fn loopback(folder: &Path) -> String {
    format!(
        "[fetch]\nallow = [\"127.0.0.1/32\"]\ninterval = \"1s\"\ninterval_min = \"1s\"\nhost_gap = \"0s\"\n\n\
         [[channel]]\nname = \"file\"\nkind = \"log\"\npath = \"{}\"\n\n[[route]]\nname = \"desk\"\nchannel = \"file\"\n\n",
        folder.join("hits.log").display()
    )
}

/// Waits until something is so; a test that waits in vain, also for a busy machine, fails with `what`.
#[track_caller]
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !so() {
        assert!(began.elapsed().as_secs() < 120, "waited in vain: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

pub fn source(name: &str, url: &str, more: &str) -> String {
    format!("[[source]]\nname = \"{name}\"\nurl = \"{url}\"\n{more}\n")
}

pub fn manifest(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a server was given: each request or mail as it came.
pub type Taken = Arc<Mutex<Vec<Vec<u8>>>>;

/// A server on loopback; each connection is handled in a thread of its own.
pub fn listen(handle: fn(TcpStream, &Taken) -> std::io::Result<()>) -> (u16, Taken) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Taken::default();
    let shared = taken.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, taken) = (stream.unwrap(), shared.clone());
            std::thread::spawn(move || handle(stream, &taken));
        }
    });
    (port, taken)
}

/// Takes mails; what was said before the mail stands before it, as lines that begin with ">".
pub fn smtp(mut stream: TcpStream, taken: &Taken) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    stream.write_all(b"220 here\r\n")?;
    let mut said = Vec::new();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        said.push(b'>');
        said.extend(&line);
        let is_data = line.to_ascii_uppercase().starts_with(b"DATA");
        line.clear();
        if !is_data {
            stream.write_all(b"250 yes\r\n")?;
            continue;
        }
        stream.write_all(b"354 go on\r\n")?;
        loop {
            reader.read_until(b'\n', &mut line)?;
            if line == b".\r\n" {
                break;
            }
            said.extend(line.strip_prefix(b".").unwrap_or(&line));
            line.clear();
        }
        line.clear();
        taken.lock().unwrap().push(std::mem::take(&mut said));
        stream.write_all(b"250 taken\r\n")?;
    }
    Ok(())
}
