//! Fairlead keeps the container images of Argo CD Applications up to date.
//!
//! A user writes an `ImageUpdatePolicy`; a controller (or the folder mode) asks each registry once for everybody,
//! decides by pure functions, writes the smallest possible change, and reports what it did and why.
//!
//! ```text
//!  watches, timers ─► controller ─┐
//!  a folder        ─► local ──────┴─► pipeline::reconcile(ports, policy)
//!                                       discover → select → write → report
//! ```
//!
//! Modules in reading order; each names only modules above it:
//!
//! | module | what it holds |
//! |---|---|
//! | [`model`] | what we mean: plain values, no serde, no async, no clock |
//! | [`select`] | candidates and a rule → a choice, and a verdict for every candidate; pure |
//! | [`edit`] | text and a change → text with every other byte as it was; pure |
//! | [`api`] | what users write: the custom resource, the fields of an Application that we read |
//! | [`lower`] | users' text → model, with problems that point at that text; pure |
//! | [`ports`] | what we need from the world, as traits |
//! | [`pipeline`] | the spine: discover → select → write → report |
//! | `adapters` | the world: Kubernetes, OCI registries, folders, memory |
//! | `telemetry` | logs, metrics, health |
//! | `controller` | watches and timers around the pipeline |
//! | `local` | the folder mode and the demo |
//! | `cli` | the command line |

pub mod model;
pub mod select;
pub mod edit;
pub mod api;
pub mod lower;
pub mod ports;
pub mod pipeline;
#[cfg(feature = "operator")]
pub mod adapters;
#[cfg(feature = "operator")]
pub mod telemetry;
#[cfg(feature = "operator")]
pub mod controller;
#[cfg(feature = "operator")]
pub mod local;
#[cfg(feature = "operator")]
pub mod cli;
