//! Faults on demand: how a server looks to clients outside when its cluster
//! is stopped, hung or slow. Its own components ([`Server::client`]) go on.
//!
//! [`Server::client`]: super::Server::client

use std::time::Duration;

use tokio::sync::watch;

/// How the server treats clients outside from now on. Open watches feel it
/// too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// No fault.
    #[default]
    Running,
    /// Every request gets 503 ServiceUnavailable, open streams break.
    Refuse,
    /// Connections are closed as soon as they are made, open ones are cut.
    Drop,
    /// Every request waits this long first.
    Delay(Duration),
    /// Requests are taken and never answered; open streams fall silent.
    BlackHole,
}

/// The switch of one server; clones turn the same switch.
#[derive(Debug, Clone)]
pub struct FaultSwitch(watch::Sender<Fault>);

impl Default for FaultSwitch {
    fn default() -> Self {
        Self(watch::Sender::new(Fault::Running))
    }
}

impl FaultSwitch {
    /// Turns the switch; takes effect at once.
    pub fn set(&self, fault: Fault) {
        self.0.send_replace(fault);
    }

    /// The present setting.
    #[must_use]
    pub fn get(&self) -> Fault {
        *self.0.borrow()
    }
    pub(super) fn subscribe(&self) -> watch::Receiver<Fault> {
        self.0.subscribe()
    }

    /// Returns once the switch stands at `fault`.
    pub(super) async fn wait_for(&self, fault: Fault) {
        let mut changes = self.0.subscribe();
        // The sender lives in self, so this cannot fail.
        let _ = changes.wait_for(|now| *now == fault).await;
    }
}
