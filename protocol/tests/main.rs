//! The promises of the crate to people, programs and peers outside: the generated files are fresh, the messages in
//! docs/events.md are of their types, recorded messages of the peer are read and printed the same, and each type has the
//! peer's fields.

#![expect(clippy::expect_used, reason = "a test ends where what it needs is not there")]

mod documents;
mod generated;
mod params;
mod peer;
mod samples;
mod shapes;
