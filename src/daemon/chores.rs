//! What is done beside the loops and can wait: the index for search, retention, verdicts that come by mail.

use std::time::Duration;

use super::Shared;
use super::trouble::Trouble;
use crate::notifier::answers;
use crate::plain;
use crate::store::Store;
use crate::store::retention::Forgotten;
use crate::store::search::IndexState;

/// How often answers to messages are looked for.
const ANSWERS_EVERY: Duration = Duration::from_secs(60);
/// Items that are indexed in one transaction, and the pause until the next.
const INDEX_PART: usize = 200;
const INDEX_PAUSE: Duration = Duration::from_millis(200);
/// Rows of a kind that are forgotten in one transaction, and the pause until the next.
const RETENTION_STEP: usize = 200;
const RETENTION_PAUSE: Duration = Duration::from_millis(200);
/// How often it is seen whether a day is over.
const RETENTION_LOOK: Duration = Duration::from_secs(600);
/// How much a single cycle forgets.
const RETENTION_STEPS_ONCE: usize = 20;

/// How soon a watcher that leaves this to another sees whether that is still so.
const LEAD_LOOK: Duration = Duration::from_secs(30);

/// Waits until it is for this watcher to do what one does for all; false when the program stops, or is there for one cycle only.
async fn leads(shared: &Shared) -> bool {
    loop {
        if shared.standing.borrow().leads {
            return true;
        }
        if shared.once {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep(LEAD_LOOK) => {}
            () = shared.stop.cancelled() => return false,
        }
    }
}

/// Indexes what was stored before there was an index, little by little; forgets the index where none is wanted.
pub(super) async fn index(shared: Shared, store: Store) {
    let mut trouble = Trouble::new("indexer", "indexing what was stored before", &store);
    let wanted = shared.config.borrow().store.search;
    let mut sum = 0;
    loop {
        if !leads(&shared).await {
            break;
        }
        let done = if wanted {
            store.index_more(INDEX_PART).await
        } else {
            store.drop_index().await.map(|()| (0, IndexState::Whole))
        };
        match done {
            Ok((indexed, state)) => {
                trouble.over(shared.clock.now()).await;
                if sum == 0 && indexed > 0 {
                    tracing::info!("indexing what was stored before, the newest first; search finds it bit by bit");
                }
                sum += indexed;
                if state == IndexState::Whole {
                    break;
                }
            }
            Err(error) if !shared.once && trouble.wait(&error, &shared).await => continue,
            // The next run goes on.
            Err(_) => break,
        }
        // The loops come first; a single cycle does one part.
        tokio::select! {
            () = tokio::time::sleep(INDEX_PAUSE) => {}
            () = shared.stop.cancelled() => break,
        }
    }
    if sum > 0 {
        tracing::info!("indexed {}; all that is stored can be searched", plain::counted(sum, "item"));
    }
}

/// Forgets what is older than the configuration says: once a day, in small steps. A single cycle does some of them. One watcher does it for all,
/// by the configuration in force.
pub(super) async fn forget(shared: Shared, store: Store) {
    let mut trouble = Trouble::new("retention", "forgetting what is old", &store);
    let mut sum = Forgotten::default();
    let mut steps = 0;
    loop {
        if !leads(&shared).await {
            break;
        }
        let now = shared.clock.now();
        let cutoffs = shared.config.borrow().store.cutoffs(now);
        let wait = match store.retention_due(now).await {
            Ok(false) => RETENTION_LOOK,
            Ok(true) => match store.forget_old(&cutoffs, RETENTION_STEP, now).await {
                Ok((forgotten, is_all)) => {
                    trouble.over(shared.clock.now()).await;
                    sum = sum.and(forgotten);
                    if is_all && store.retention_done(now).await.is_ok() {
                        if !sum.is_nothing() {
                            tracing::info!(
                                "forgot what is older than store.keep_misses and store.keep_hits say: {}",
                                sum.in_words()
                            );
                        }
                        sum = Forgotten::default();
                    }
                    RETENTION_PAUSE
                }
                Err(error) if !shared.once && trouble.wait(&error, &shared).await => continue,
                // The next run goes on.
                Err(_) => break,
            },
            Err(_) => RETENTION_LOOK,
        };
        steps += 1;
        if shared.once && (wait == RETENTION_LOOK || steps > RETENTION_STEPS_ONCE) {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(if shared.once { Duration::ZERO } else { wait }) => {}
            () = shared.stop.cancelled() => break,
        }
    }
}

/// Reads verdicts that came by mail, every so often. A single cycle has read them before it began.
pub(super) async fn listen_to_readers(shared: Shared, store: Store) {
    if shared.once {
        return;
    }
    let mut known = String::new();
    loop {
        let problem = read_answers(&shared, &store).await;
        // Said once, not every minute.
        if problem != known {
            report_answers(&problem);
            known = problem;
        }
        tokio::time::sleep(ANSWERS_EVERY).await;
    }
}

/// Reads verdicts that came by mail; answers why they wait, or nothing.
pub(super) async fn read_answers(shared: &Shared, store: &Store) -> String {
    let config = shared.config.borrow().clone();
    let Some(verdicts) = &config.verdicts else { return String::new() };
    let Some(maildir) = &verdicts.maildir else { return String::new() };
    match answers::read(store, verdicts, maildir, shared.clock.now()).await {
        Ok(Ok(_)) => String::new(),
        Ok(Err(error)) => error,
        Err(error) => error.to_string(),
    }
}

pub(super) fn report_answers(problem: &str) {
    if problem.is_empty() {
        tracing::info!("verdicts by mail are read again");
    } else {
        tracing::warn!("verdicts by mail wait, nothing is lost: {}", plain::line(problem, 500));
    }
}
