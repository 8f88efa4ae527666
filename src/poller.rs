//! Loop 1: due sources → visits → items.

pub mod fetch;
pub mod guard;
pub mod identity;
pub mod read;
pub mod schedule;
pub mod source;
