//! A temporary PostgreSQL for tests, behind the feature `testing`.

mod binaries;
mod cluster;
mod guarded;
mod pooler;
mod proxy;

pub use cluster::{TestCertificates, TestCluster, TestDatabase};
pub use pooler::TestPooler;
pub use proxy::{CuttingProxy, ProxyCut};
