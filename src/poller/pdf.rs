//! Edge: the text of a PDF, by `pdftotext` and `pdfinfo` of poppler-utils, each in a child process with limits. What a PDF does to
//! them it does not do to newswatch.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::outcome::Failure;
use super::read::pdf::{self, About};
use crate::fault::Fault;

/// Memory of a child. Ordinary reports take a tenth; a bomb would take gigabytes.
const MEMORY_MAX: u64 = 512 << 20;
/// Time of a child, of the processor and by the clock.
const PROCESSOR_SECONDS_MAX: u64 = 15;
const TIME_MAX: Duration = Duration::from_secs(20);
/// Bytes that a child writes.
const OUTPUT_MAX: u64 = 8 << 20;
const ERRORS_MAX: u64 = 16 << 10;
/// Pages that are read.
const PAGES_MAX: &str = "1000";
/// Children at a time.
const CHILDREN_MAX: usize = 2;

/// What to do when poppler-utils is missing.
pub const ADVICE: &str = "a PDF, and pdftotext is not installed: install poppler-utils";

/// A PDF that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pdf {
    /// Title and date.
    pub about: About,
    /// Its text, a paragraph a line.
    pub text: String,
}

/// Whether PDFs can be read on this machine.
pub fn is_installed() -> bool {
    let tried = std::process::Command::new("pdftotext").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok()
}

/// The bytes are a PDF.
pub fn is_pdf(bytes: &[u8]) -> bool {
    // The mark may stand behind some junk (ISO 32000-1, annex H.3.4.1).
    bytes.len() > 4 && bytes[..bytes.len().min(1_024)].windows(5).any(|window| window == b"%PDF-")
}

/// Reads PDFs, a few at a time.
#[derive(Debug)]
pub struct PdfReader {
    children: Semaphore,
}

impl Default for PdfReader {
    fn default() -> PdfReader {
        PdfReader { children: Semaphore::new(CHILDREN_MAX) }
    }
}

impl PdfReader {
    /// Reads a PDF when its turn has come.
    pub async fn read(&self, bytes: &[u8], text_bytes_max: usize) -> Result<Pdf, Failure> {
        let _place = self.children.acquire().await;
        read(bytes, text_bytes_max).await
    }
}

async fn read(bytes: &[u8], text_bytes_max: usize) -> Result<Pdf, Failure> {
    let written = child("pdftotext", &["-enc", "UTF-8", "-l", PAGES_MAX, "-", "-"], bytes).await?;
    let about = match child("pdfinfo", &["-isodates", "-enc", "UTF-8", "-"], bytes).await {
        Ok(written) => pdf::about(&written.out),
        // The text is what counts.
        Err(_) => About::default(),
    };
    let text = pdf::text(&written.out, text_bytes_max);
    if pdf::is_scanned(&text, 1) || about.pages.is_some_and(|pages| pages > 3 && pdf::is_scanned(&text, pages)) {
        // A child that ran out of memory ends as if all were well.
        let reason = if written.errors.is_empty() {
            "a PDF without text: its pages are pictures, which newswatch cannot read".to_string()
        } else {
            format!("a PDF from which pdftotext gets no text: {}", written.errors)
        };
        return Err(Failure::new(Fault::NotAFeed, reason));
    }
    let title = if about.title.is_empty() { pdf::first_line(&text) } else { about.title.clone() };
    Ok(Pdf { about: About { title, ..about }, text })
}

/// What a child wrote.
struct Written {
    out: String,
    errors: String,
}

/// Runs one of the programs over the bytes.
async fn child(program: &str, arguments: &[&str], bytes: &[u8]) -> Result<Written, Failure> {
    let failed = |reason: String| Failure::new(Fault::NotAFeed, reason);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            failed(if error.kind() == std::io::ErrorKind::NotFound {
                ADVICE.to_string()
            } else {
                format!("a PDF, and {program} cannot be run: {error}")
            })
        })?;
    // It can do no harm before it has been given anything to read, so its limits come in time.
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    // Without a number the limits would be our own.
    let pid = Some(pid.ok_or_else(|| failed(format!("a PDF, and {program} did not start")))?);
    for (resource, most) in [
        (Resource::As, MEMORY_MAX),
        (Resource::Cpu, PROCESSOR_SECONDS_MAX),
        (Resource::Core, 0),
        (Resource::Fsize, OUTPUT_MAX),
    ] {
        prlimit(pid, resource, Rlimit { current: Some(most), maximum: Some(most) })
            .map_err(|error| failed(format!("a PDF, and {program} cannot be given limits: {error}")))?;
    }
    let (mut input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let work = async {
        let feed = async {
            if let Some(input) = &mut input {
                // One that has seen enough closes its end.
                _ = input.write_all(bytes).await;
            }
            drop(input.take());
        };
        let (_, out, errors) = tokio::join!(feed, read_all(output, OUTPUT_MAX), read_all(errors, ERRORS_MAX));
        (out, errors)
    };
    let Ok((out, errors)) = tokio::time::timeout(TIME_MAX, work).await else {
        return Err(failed(format!("a PDF on which {program} works for more than {} s", TIME_MAX.as_secs())));
    };
    // What is more than was read is not wanted.
    let is_cut = out.len() as u64 >= OUTPUT_MAX;
    if is_cut {
        _ = child.start_kill();
    }
    let ended = tokio::time::timeout(TIME_MAX, child.wait()).await;
    let is_killed = !matches!(ended, Ok(Ok(status)) if status.code().is_some());
    if is_killed && !is_cut {
        // Half a report must not pass as the whole.
        return Err(failed(format!("a PDF on which {program} runs into its limits of time or memory")));
    }
    let errors = crate::plain::line(&errors, 200);
    if out.trim().is_empty() && !errors.is_empty() {
        return Err(failed(format!("a PDF that {program} cannot read: {errors}")));
    }
    Ok(Written { out, errors })
}

async fn read_all(from: Option<impl tokio::io::AsyncRead + Unpin>, most: u64) -> String {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        // A pipe that breaks ends the text. What is beyond the limit is read and dropped, up to another one: a child whose
        // messages nobody reads would end in the middle of its text.
        let mut from = from;
        _ = (&mut from).take(most).read_to_end(&mut bytes).await;
        _ = tokio::io::copy(&mut from.take(OUTPUT_MAX), &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
