//! Files to a checked configuration, or every problem at once.

pub mod section;
