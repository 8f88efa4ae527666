//! The files that say how a message looks: those that are shipped, and those that an operator put in their place. Pure: text in,
//! text out.
//!
//! A template can use the values it is given and other templates of its kind, and nothing else: no file, no setting, no time. Its work
//! and what it writes are bounded. HTML is always escaped, whatever a template says.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::OnceLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};

use super::view::View;
use super::{compose, sample};
use crate::model::DeliveryKind;
use crate::plain;

/// The shipped templates: name of the file, text.
pub const SHIPPED: &[(&str, &str)] = &[
    ("digest.txt", include_str!("../templates/digest.txt")),
    ("digest.html", include_str!("../templates/digest.html")),
    ("alert.txt", include_str!("../templates/alert.txt")),
    ("alert.html", include_str!("../templates/alert.html")),
    ("report.txt", include_str!("../templates/report.txt")),
    ("report.html", include_str!("../templates/report.html")),
    ("story.txt", include_str!("../templates/story.txt")),
    ("verdicts.txt", include_str!("../templates/verdicts.txt")),
    ("story.html", include_str!("../templates/story.html")),
    ("style.html", include_str!("../templates/style.html")),
    ("head.html", include_str!("../templates/head.html")),
    ("notices.html", include_str!("../templates/notices.html")),
];

/// No template is larger.
pub const TEMPLATE_BYTES_MAX: u64 = 256 * 1024;
/// Files of an operator's own.
pub const TEMPLATES_MAX: usize = 50;
/// Steps of one rendering: many times what a full digest takes, and enough for one that leaves nothing out.
const FUEL: u64 = 5_000_000;
/// Templates within templates.
const DEPTH_MAX: usize = 40;
/// Bytes that one rendering writes.
const OUTPUT_BYTES_MAX: usize = 8 << 20;

/// Which pair of templates a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Digest,
    Alert,
    Report,
}

impl Form {
    pub(super) fn of(kind: DeliveryKind) -> Form {
        match kind {
            DeliveryKind::Alert => Form::Alert,
            DeliveryKind::Digest | DeliveryKind::Group | DeliveryKind::Overflow => Form::Digest,
            DeliveryKind::Report => Form::Report,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Form::Digest => "digest",
            Form::Alert => "alert",
            Form::Report => "report",
        }
    }
}

/// Both forms of a message.
#[derive(Clone, Debug)]
pub(super) struct Rendered {
    pub(super) text: String,
    pub(super) html: String,
}

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongTemplate {
    /// Name of the file.
    pub name: String,
    /// Its line, from 1.
    pub line: usize,
    /// In words.
    pub message: String,
}

impl fmt::Display for WrongTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.name, self.line, self.message)
    }
}

/// Templates, ready to be used.
pub struct Templates {
    text: Environment<'static>,
    html: Environment<'static>,
    /// Names of those that are not the shipped ones.
    own: Vec<String>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates").field("own", &self.own).finish_non_exhaustive()
    }
}

impl Templates {
    /// Those that are shipped.
    pub fn shipped() -> &'static Templates {
        static SHIPPED_TEMPLATES: OnceLock<Templates> = OnceLock::new();
        // The shipped ones are right; a test sees to it.
        SHIPPED_TEMPLATES.get_or_init(|| Templates::of(BTreeMap::new()).0)
    }

    /// The shipped ones with these in place of those of the same name, and everything that is wrong with them: each kind of message is
    /// rendered with an example.
    pub fn with(own: BTreeMap<String, String>) -> (Templates, Vec<WrongTemplate>) {
        let (templates, mut wrong) = Templates::of(own);
        let mut failed = Vec::new();
        let examples = if wrong.is_empty() { sample::all() } else { Vec::new() };
        for (row, ingredients) in examples {
            let form = Form::of(row.kind);
            if failed.contains(&form) {
                continue;
            }
            // Fails as it would on a real morning, without the shipped ones to fall back to.
            if let Err(error) = templates.try_render(form, &super::view::view(&ingredients(&row))) {
                failed.push(form);
                if !wrong.contains(&error) {
                    wrong.push(error);
                }
            }
        }
        (templates, wrong)
    }

    fn of(own: BTreeMap<String, String>) -> (Templates, Vec<WrongTemplate>) {
        let mut templates = Templates {
            text: environment(AutoEscape::None),
            html: environment(AutoEscape::Html),
            own: own.keys().cloned().collect(),
        };
        let mut wrong = Vec::new();
        let shipped = SHIPPED.iter().filter(|(name, _)| !own.contains_key(*name));
        let shipped: Vec<(String, String)> = shipped.map(|(name, text)| (name.to_string(), text.to_string())).collect();
        for (name, text) in shipped.into_iter().chain(own) {
            if let Some(line) = switches_escaping(&text) {
                let message =
                    "`autoescape` cannot be changed: what comes from outside is always escaped in HTML".to_string();
                wrong.push(WrongTemplate { name, line, message });
                continue;
            }
            let environment = if name.ends_with(".html") { &mut templates.html } else { &mut templates.text };
            if let Err(error) = environment.add_template_owned(name.clone(), text) {
                wrong.push(in_words(&error, &name));
            }
        }
        (templates, wrong)
    }

    /// Names of those that are not the shipped ones.
    pub fn own(&self) -> &[String] {
        &self.own
    }

    pub(super) fn render(&self, form: Form, view: &View) -> Result<Rendered, String> {
        self.try_render(form, view).map_err(|error| plain::line(&error.to_string(), 500))
    }

    fn try_render(&self, form: Form, view: &View) -> Result<Rendered, WrongTemplate> {
        let values = Value::from(Serde(view));
        let text = render(&self.text, &format!("{}.txt", form.name()), &values)?;
        let html = render(&self.html, &format!("{}.html", form.name()), &values)?;
        Ok(Rendered { text: strip_steering(&text), html })
    }
}

/// What a template itself may have brought in stays out of a text, too; its lines stay.
fn strip_steering(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !plain::is_steering(*c)).collect()
}

fn environment(escape: AutoEscape) -> Environment<'static> {
    let mut environment = Environment::new();
    // The default syntax is a valid one.
    if let Ok(syntax) =
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()
    {
        environment.set_syntax(syntax);
    }
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(move |_| escape.clone());
    // Both make text that is not escaped any more.
    environment.remove_filter("safe");
    environment.remove_filter("tojson");
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH_MAX);
    environment
}

/// The line on which a template switches escaping.
fn switches_escaping(text: &str) -> Option<usize> {
    let mut rest = text;
    while let Some((_, tag)) = rest.split_once("{%") {
        if tag.trim_start_matches(['-', '+']).trim_start().starts_with("autoescape") {
            return Some(text[..text.len() - tag.len()].lines().count());
        }
        rest = tag;
    }
    None
}

fn render(environment: &Environment<'static>, name: &str, values: &Value) -> Result<String, WrongTemplate> {
    let mut out = Bounded(Vec::new());
    let template = environment.get_template(name).map_err(|error| in_words(&error, name))?;
    template.render_captured_to(values.clone(), &mut out).map_err(|error| in_words(&error, name))?;
    Ok(String::from_utf8_lossy(&out.0).into_owned())
}

/// Takes so many bytes and no more.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_BYTES_MAX {
            return Err(std::io::Error::other("too much"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn in_words(error: &minijinja::Error, name: &str) -> WrongTemplate {
    // An error within an included template has the place as its cause.
    let mut innermost = error;
    while let Some(cause) = std::error::Error::source(innermost).and_then(|cause| cause.downcast_ref()) {
        innermost = cause;
    }
    let detail = innermost.detail().map(|detail| plain::line(detail, 300));
    let message = match (innermost.kind(), detail) {
        (ErrorKind::UndefinedError, detail) => {
            let which = detail.map_or(String::new(), |detail| format!(" ({detail})"));
            format!(
                "there is no such value{which}; the head of the shipped digest.txt lists them (newswatch digest templates)"
            )
        }
        (ErrorKind::TemplateNotFound, _) => {
            "it includes a template that is not in the folder, or of the other kind (.txt, .html)".to_string()
        }
        (ErrorKind::OutOfFuel, _) => "it does not come to an end".to_string(),
        (ErrorKind::WriteFailure, _) => format!("it writes more than {} MiB", OUTPUT_BYTES_MAX >> 20),
        (ErrorKind::UnknownFilter, Some(detail)) => {
            format!("{detail} (`safe` and `tojson` are left out: what comes from outside is always escaped)")
        }
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    WrongTemplate { name: innermost.name().unwrap_or(name).to_string(), line: innermost.line().unwrap_or(1), message }
}

/// The messages that the examples make with these templates: what `newswatch check` tries them with.
pub fn examples(templates: &Templates) -> Vec<super::Composed> {
    sample::all().into_iter().map(|(row, ingredients)| compose(ingredients(&row), templates)).collect()
}
