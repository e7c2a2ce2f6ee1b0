//! Member clusters: connections, probes, observation and server-side apply.
//!
//! [`Pool`] runs one task a member. The hub connects members and says what it
//! wishes for each application; the pool does it, keeps it so and tells what
//! became of it. Wishes are levels, not events: the last one counts, and saying
//! it again costs nothing.

mod application;
mod calls;
pub mod client;
pub mod credential;
mod discovery;
mod facts;
mod failure;
mod ledger;
pub mod mesh;
mod metrics;
mod observe;
mod pass;
mod pool;
mod probe;
mod task;
#[cfg(test)]
mod tests;

pub use facts::MemberFacts;
pub use ledger::{ChangeKind, Desire, MemberChange};
pub use metrics::MemberMetrics;
pub use pool::{MemberConnection, Pool, PoolOptions};
