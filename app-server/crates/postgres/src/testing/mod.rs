//! A temporary PostgreSQL for tests, behind the feature `testing`.

mod binaries;
mod cluster;
mod guarded;
mod pooler;
mod proxy;

#[cfg(test)]
pub(crate) use cluster::until_a_statement_waits;
pub use cluster::{TestCertificates, TestCluster, TestDatabase};
pub use pooler::TestPooler;
pub use proxy::{CuttingProxy, ProxyCut};
