//! Loop 1: due sources → visits → items.

pub mod fetch;
pub mod identity;
pub mod read;
pub mod source;
