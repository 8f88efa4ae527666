//! Loop 3: due outbox rows → channels.

pub mod channel;
