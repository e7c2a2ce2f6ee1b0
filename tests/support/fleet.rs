//! A hub and its members, each a control plane of its own.

use std::collections::BTreeMap;

use anyhow::Result;
use futures::future::{try_join, try_join_all};

use super::controlplane::{ControlPlane, ControlPlaneOptions};

/// A hub and members, started side by side.
pub struct Fleet {
    /// The hub's control plane; it runs no workloads.
    pub hub: ControlPlane,
    /// The members' control planes by name.
    pub members: BTreeMap<String, ControlPlane>,
}

impl Fleet {
    /// The fleet of the article: a hub, `aws-sub1` and `aws-sub2`, with the
    /// network ranges that the article's Submariner shows.
    pub async fn guestbook() -> Result<Self> {
        let member = |service_cidr: &str, pod_cidr: &str| ControlPlaneOptions {
            service_cidr: service_cidr.to_owned(),
            pod_cidr: pod_cidr.to_owned(),
            ..ControlPlaneOptions::default()
        };
        Self::start(BTreeMap::from([
            (
                "aws-sub1".to_owned(),
                member("172.31.0.0/16", "10.132.0.1/14"),
            ),
            (
                "aws-sub2".to_owned(),
                member("172.30.0.0/16", "10.128.0.1/14"),
            ),
        ]))
        .await
    }

    /// Starts a hub and the named members at the same time.
    pub async fn start(members: BTreeMap<String, ControlPlaneOptions>) -> Result<Self> {
        let hub = ControlPlane::start(
            "hub",
            ControlPlaneOptions {
                workloads: false,
                ..ControlPlaneOptions::default()
            },
        );
        let members = try_join_all(members.into_iter().map(|(name, options)| async move {
            let plane = ControlPlane::start(&name, options).await?;
            Ok((name, plane))
        }));
        let (hub, members) = try_join(hub, members).await?;
        Ok(Self {
            hub,
            members: members.into_iter().collect(),
        })
    }
}
