//! Finds stored items again: the index proposes, the matcher confirms.

use jiff::Timestamp;

use crate::matcher::search::Query;
use crate::model::{Item, Reason};
use crate::store::search::{Found, SearchFilter, Window};
use crate::store::{self, Store};

/// Items whose texts are in memory together.
const PART: usize = 32;
/// Candidates that are asked for at first; then four times as many each time, up to the second.
const WINDOW: (usize, usize) = (64, 4_096);
/// Items that are read to answer one query.
const READ_MAX: usize = 20_000;
/// Candidates that are held against the filter to answer one query.
const LOOKED_AT_MAX: usize = 500_000;

/// So few hits are all read, whatever is looked for.
const FEW_HITS: usize = 400;

/// In which order items are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    Newest,
    /// Those first that say most of what is looked for.
    Best,
}

/// Which part of the answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The order.
    pub order: Order,
    /// Leave out so many.
    pub skip: usize,
    /// At most so many.
    pub count: usize,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The items with the places that were looked for.
    pub items: Vec<(Item, Vec<Reason>)>,
    /// There are more.
    pub more: bool,
    /// Looking ended here because it took too long: among what was first seen before, nothing was looked for. Of the best: they are
    /// the best of what was first seen since.
    pub stopped_at: Option<Timestamp>,
}

/// Finds a page of items.
pub async fn find(store: &Store, query: &mut Query, filter: &SearchFilter, page: Page) -> store::Result<Answer> {
    let mut answer = Answer::default();
    let mut found = 0;
    let ranked = page.order == Order::Best;
    let (mut before, mut look_at) = (i64::MAX, if ranked { store.ranks() } else { WINDOW.0 });
    let (mut read, mut looked_at) = (0, 0);
    let mut few = if ranked { None } else { store.docs_of_hits(filter, FEW_HITS).await? };
    loop {
        let wanted = query.candidates().clone();
        let mut window = match few.take() {
            Some(docs) => {
                let found = docs.into_iter().map(|doc| Found { doc, rank: 0.0 });
                Window { found: found.collect(), next: None }
            }
            None => store.candidates(&wanted, filter, before, look_at, ranked).await?,
        };
        looked_at += window.found.len();
        if ranked {
            window.found.sort_by(|a, b| b.rank.total_cmp(&a.rank).then(b.doc.cmp(&a.doc)));
        }
        // Where many do not pass, many are held against the filter together.
        let together = if filter.is_open() { PART } else { window.found.len().max(1) };
        let docs: Vec<i64> = window.found.iter().map(|found| found.doc).collect();
        for docs in docs.chunks(together) {
            let passing = store.passing(docs, filter).await?;
            for ids in passing.chunks(PART) {
                let mut items = store.items_whole(ids).await?;
                read += items.len();
                for id in ids {
                    let Some(item) = items.remove(id) else { continue };
                    let Some(reasons) = query.found(&item) else { continue };
                    found += 1;
                    if found > page.skip + page.count {
                        answer.more = true;
                        if let Some(next) = window.next.filter(|_| ranked) {
                            answer.stopped_at = store.seen_below(next).await?;
                        }
                        return Ok(answer);
                    }
                    if found > page.skip {
                        answer.items.push((item, reasons));
                    }
                }
            }
        }
        match window.next {
            None => return Ok(answer),
            Some(next) if ranked || read >= READ_MAX || looked_at >= LOOKED_AT_MAX => {
                answer.stopped_at = store.seen_below(next).await?;
                return Ok(answer);
            }
            Some(next) => (before, look_at) = (next, (look_at * 4).min(WINDOW.1)),
        }
    }
}
