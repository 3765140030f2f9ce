//! To be written.

pub mod oci;
