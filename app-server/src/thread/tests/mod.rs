//! Proofs about several rooms of this folder together.

mod races;
pub(crate) mod shim;
