//! A temporary PostgreSQL for tests, behind the feature `testing`.

mod binaries;
mod cluster;

pub use cluster::{TestCluster, TestDatabase};
