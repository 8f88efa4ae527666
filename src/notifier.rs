//! Loop 3: due outbox rows → channels.

pub mod channel;
pub mod compose;
pub mod retry;
