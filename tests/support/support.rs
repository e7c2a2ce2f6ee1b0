//! What the integration tests share. Not a test binary of its own: a test
//! takes it in with `#[path = "support/support.rs"] mod support;`.
//!
//! - [`tier`]: loud skips, or failures where `PILOTHOUSE_REQUIRE` asks;
//! - [`condition`]: waiting for a condition with a deadline, never sleeping;
//! - [`slow`]: a line to a server that delays its answers;
//! - [`repository`]: a bare git repository that tests push to;
//! - [`objects`]: objects of any kind as JSON;
//! - [`kubectls`]: every kubectl at hand;
//! - [`pod`]: a container of `deploy/` as a process here;
//! - [`piped`]: a command with text on its standard input;
//! - [`controlplane`], [`fleet`]: real Kubernetes control planes on loopback.

#![allow(dead_code, reason = "no test binary uses every helper")]
#![allow(unused_imports, reason = "no test binary uses every helper")]
#![allow(
    unreachable_pub,
    reason = "a module of test binaries, not of a library"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a broken fixture ends its test with the message of what broke"
)]

pub mod condition;
pub mod controlplane;
pub mod fleet;
pub mod kubectls;
pub mod objects;
pub mod piped;
pub mod pod;
pub mod repository;
pub mod slow;
pub mod tier;

pub use condition::await_condition;
pub use controlplane::{ControlPlane, ControlPlaneOptions};
pub use fleet::Fleet;
pub use kubectls::kubectls;
pub use piped::piped;
pub use repository::{Edit, GitFixture};
pub use tier::{Missing, have};
