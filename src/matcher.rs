//! Loop 2: unscored items → hits and outbox rows.
