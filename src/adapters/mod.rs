//! To be written.

pub mod embedded;
pub mod oci;
