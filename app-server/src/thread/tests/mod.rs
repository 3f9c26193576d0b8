//! Proofs about several rooms of this folder together.

mod races;
pub mod shim;
