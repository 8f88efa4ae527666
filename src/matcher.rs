//! Loop 2: unscored items → hits and outbox rows.

pub mod fold;
pub mod frequency;
pub mod phrase;
pub mod profile;
pub mod score;
pub mod seed;
pub mod text;
