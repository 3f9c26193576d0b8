//! The foundation of every other part of Skein. README.md lists the rooms.

pub mod clock;
pub mod counters;
pub mod descriptors;
pub mod durations;
pub mod files;
pub mod home_tag;
pub mod masks;
pub mod pem;
pub mod policy;
pub mod system;
pub mod tasks;
pub mod units;
pub mod web;
