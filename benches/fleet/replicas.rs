//! What runs of the product: one process, or a leader and its standby.

use anyhow::Result;

use crate::product::Product;

/// A process and where it takes webhooks.
pub struct Replica {
    /// The process.
    pub product: Product,
    /// URL of its webhook.
    pub webhook: String,
}

impl Replica {
    /// A process whose dashboard listens on `address`.
    pub fn new(product: Product, address: &str) -> Self {
        Self {
            product,
            webhook: format!("http://{address}/webhook"),
        }
    }
}

/// The part of a process among the replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// There is no other.
    Alone,
    /// It does the work.
    Leader,
    /// It waits.
    Standby,
}

impl Role {
    /// The end of a row's name, of what a process has.
    pub fn of(self) -> &'static str {
        match self {
            Self::Alone => "",
            Self::Leader => ", leader",
            Self::Standby => ", standby",
        }
    }

    /// The end of a row's name, of what is sent to a process.
    pub fn at(self) -> &'static str {
        match self {
            Self::Alone => "",
            Self::Leader => " at the leader",
            Self::Standby => " at the standby",
        }
    }
}

/// All that runs.
pub struct Replicas {
    /// The one that does the work.
    pub leader: Replica,
    /// The one that waits, where two run.
    pub standby: Option<Replica>,
}

impl Replicas {
    /// Each with its role, the one that works first.
    pub fn all(&self) -> Vec<(Role, &Replica)> {
        match &self.standby {
            None => vec![(Role::Alone, &self.leader)],
            Some(standby) => vec![(Role::Leader, &self.leader), (Role::Standby, standby)],
        }
    }

    /// Ends them in order; the one that waits first, so that it does not lead
    /// for a moment.
    pub async fn stop(self) -> Result<()> {
        if let Some(standby) = self.standby {
            standby.product.stop().await?;
        }
        self.leader.product.stop().await
    }
}
