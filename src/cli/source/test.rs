//! `newswatch source test`: one visit as it would be made now, with a store that is thrown away.

use std::cell::RefCell;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;

use crate::cli;
use crate::clock::Clock;
use crate::config::{Config, FetchSettings};
use crate::model::{ArticleState, Health, Item};
use crate::plain;
use crate::poller;
use crate::poller::articles::ArticleResult;
use crate::poller::http::Http;
use crate::poller::visit::Visitor;
use crate::store::sources::{Claim, VisitResult};
use crate::store::{Durability, Store};

/// Characters shown of an item's text, and of an article.
const TEXT_CHARACTERS: usize = 160;
const ARTICLE_CHARACTERS: usize = 300;

/// Shows what the source would give now; changes nothing.
pub(super) async fn test(config: &Config, name: &str) -> anyhow::Result<ExitCode> {
    let source = super::find(config, name)?;
    let scratch = Scratch::new()?;
    let store = Store::open(&format!("sqlite:{}", scratch.0.join("s.sqlite").display()), Durability::Process).await?;
    let clock = Clock::system();
    // One article shows how they are read.
    let settings = FetchSettings { articles_per_visit_max: 1, ..config.fetch.clone() };
    store.configure_sources(&poller::configured(std::slice::from_ref(source), &settings, clock.now())).await?;
    let state = store.sources().await?.pop().with_context(|| format!("{name} is disabled"))?;
    let http = Arc::new(Http::new(&settings)?);
    let visitor = Visitor::new(http, store, Arc::new(settings), true, clock);
    let mut result = visitor.visit(source, state, Claim { owner: "source test".into(), fence: 0 }).await?;
    if source.article && result.state.health == Health::Fine {
        let unread = result.new_items.iter().map(|new| new.item.clone()).collect();
        let tried = RefCell::new(Vec::new());
        let keep = |article| {
            if let ArticleResult::Tried(item, _) = article {
                tried.borrow_mut().push(*item);
            }
        };
        visitor.read_articles(source, unread, keep).await?;
        for item in tried.into_inner() {
            if let Some(new) = result.new_items.iter_mut().find(|new| new.item.id == item.id) {
                new.item = item;
            }
        }
    }
    drop(visitor);
    write(&mut std::io::stdout().lock(), &result)?;
    Ok(if result.state.health == Health::Fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(out: &mut impl Write, result: &VisitResult) -> std::io::Result<()> {
    let state = &result.state;
    if state.health != Health::Fine {
        let fault = state.fault.map_or("not read", |fault| fault.as_str());
        return writeln!(out, "{}: {}", fault, plain::line(&state.error, 500));
    }
    let from = if state.validators_url.is_empty() { &state.url } else { &state.validators_url };
    writeln!(out, "{} from {}", cli::counted(result.new_items.len(), "item"), plain::line(from, 500))?;
    if !state.error.is_empty() {
        writeln!(out, "problem: {}", plain::line(&state.error, 500))?;
    }
    writeln!(out, "asked then {}", state.next_reason)?;
    for new in &result.new_items {
        write_item(out, &new.item)?;
    }
    Ok(())
}

fn write_item(out: &mut impl Write, item: &Item) -> std::io::Result<()> {
    writeln!(out, "- {}  {}", cli::show_time(item.published_at), plain::line(&item.title, 200))?;
    if let Some(url) = &item.url {
        writeln!(out, "  {}", plain::line(url, 500))?;
    }
    if let Some(text) = [&item.summary, &item.content].into_iter().find(|text| !text.is_empty()) {
        writeln!(out, "  {}", plain::line(text, TEXT_CHARACTERS))?;
    }
    if item.article_state == ArticleState::Read {
        let language = if item.language.is_empty() { "language not said" } else { &item.language };
        let text = plain::line(&item.article, ARTICLE_CHARACTERS);
        writeln!(out, "  its page, {} characters, {language}: {text}", item.article.chars().count())?;
    } else if !item.article_problem.is_empty() {
        writeln!(out, "  its page is not read: {}", plain::line(&item.article_problem, 500))?;
    }
    Ok(())
}

/// A folder that goes when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Scratch> {
        let path = std::env::temp_dir().join(format!("newswatch-test-{}", std::process::id()));
        // Fails when it is there: nobody else's folder is used.
        std::fs::create_dir(&path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left lies where everybody's leftovers lie.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
