//! Pilothouse: a hub-side GitOps placement controller for Open Cluster
//! Management fleets that knows the Submariner cables.
//!
//! # Layers
//!
//! ```text
//! L4  main -> cli -> app -> demo                    parse, wire, exit code
//! L3  hub  member  git  web  apiserver  simulator   thin shells: they never decide
//! L2  core                                          pure decisions: inputs in, plan with reasons out
//! L1  api                                           kinds, names, labels of the served APIs
//! ```
//!
//! A layer uses only the layers below it; `tests/architecture.rs` and the
//! lints in [`core`] keep it so.
//!
//! # The way of a commit
//!
//! fetch ([`git`]) → render → place → desire → plan ([`core`]) → apply
//! ([`member`]) → health → status ([`hub`]) → view ([`web`]).
//! Each arrow is one typed function; nobody reaches back.

pub mod api;
pub mod apiserver;
pub mod app;
pub mod cli;
pub mod core;
pub mod demo;
pub mod git;
pub mod hub;
pub mod member;
pub mod simulator;
pub mod telemetry;
pub mod web;
