//! Commands, one file each.

pub mod profile;
pub mod score;
