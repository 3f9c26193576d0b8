//! A temporary PostgreSQL for tests, behind the feature `testing`.

mod binaries;
mod cluster;
mod proxy;

pub use cluster::{TestCluster, TestDatabase};
pub use proxy::{CuttingProxy, ProxyCut};
