//! To be written.

pub mod docker_config;
