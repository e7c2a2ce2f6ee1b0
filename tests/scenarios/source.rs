//! The application repositories that scenarios deliver: our own example, and
//! the article's, which is read where it lies and never committed here.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::support::Missing;

/// An application repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `examples/guestbook`
    Example,
    /// The folder that `PILOTHOUSE_DEMO_APP` names.
    Article,
}

/// The three applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// The page.
    Guestbook,
    /// Its first redis.
    RedisMaster,
    /// The redis in the other cluster.
    RedisSlave,
}

impl Source {
    /// Where its files lie.
    pub fn folder(self) -> Result<PathBuf, Missing> {
        match self {
            Self::Example => Ok(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/guestbook")),
            Self::Article => match std::env::var_os("PILOTHOUSE_DEMO_APP") {
                Some(folder) if Path::new(&folder).join("guestbook-app").is_dir() => {
                    Ok(PathBuf::from(folder))
                }
                Some(_) => Err(missing("PILOTHOUSE_DEMO_APP names no clone of it")),
                None => Err(missing("PILOTHOUSE_DEMO_APP is not set")),
            },
        }
    }

    /// Whether the channel that `app` names comes with `app` itself. In the
    /// article, redis-master's Subscription names redis-slave's Channel.
    pub fn channel_of(self, app: App) -> App {
        match (self, app) {
            (Self::Article, App::RedisMaster) => App::RedisSlave,
            _ => app,
        }
    }
}

fn missing(why: &str) -> Missing {
    Missing::new(
        why,
        "git clone https://github.com/rcarrata/acm-demo-app and set PILOTHOUSE_DEMO_APP to the folder",
    )
}

impl App {
    /// All three in the article's order.
    pub const ALL: [Self; 3] = [Self::Guestbook, Self::RedisMaster, Self::RedisSlave];

    /// The application's folder in the repository.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Guestbook => "guestbook-app",
            Self::RedisMaster => "redis-master-app",
            Self::RedisSlave => "redis-slave-app",
        }
    }

    /// Name of its Subscription in the namespace `guestbook`.
    pub fn subscription(self) -> &'static str {
        match self {
            Self::Guestbook => "guestbook-app",
            Self::RedisMaster => "redis-master-app-subscription-1",
            Self::RedisSlave => "redis-slave-app-subscription-1",
        }
    }

    /// Name of its PlacementRule.
    pub fn placement_rule(self) -> &'static str {
        match self {
            Self::Guestbook => "guestbook-pr",
            Self::RedisMaster => "redis-master-app-placement-1",
            Self::RedisSlave => "redis-slave-app-placement-1",
        }
    }

    /// Name of its Channel.
    pub fn channel(self) -> &'static str {
        match self {
            Self::Guestbook => "guestbook-app-latest",
            Self::RedisMaster => "redis-master-app-latest",
            Self::RedisSlave => "redis-slave-app-latest",
        }
    }

    /// The member that its rule selects.
    pub fn cluster(self) -> &'static str {
        match self {
            Self::Guestbook | Self::RedisMaster => "aws-sub1",
            Self::RedisSlave => "aws-sub2",
        }
    }

    /// Name of its Deployment and Service.
    pub fn workload(self) -> &'static str {
        match self {
            Self::Guestbook => "frontend",
            Self::RedisMaster => "redis-master",
            Self::RedisSlave => "redis-slave",
        }
    }

    /// A file of its manifests.
    pub fn manifest(self, file: &str) -> String {
        let folder = self.folder();
        format!("{folder}/{}/{file}", folder.trim_end_matches("-app"))
    }
}

/// What `kubectl apply -k FOLDER` would send: the resources that the
/// kustomization lists, the Namespace first.
pub fn kustomization(folder: &Path) -> Result<Vec<Value>> {
    let listed = read(&folder.join("kustomization.yaml"))?;
    let files = listed["resources"].as_array().context("no resources")?;
    let mut manifests = files
        .iter()
        .map(|file| read(&folder.join(file.as_str().context("not a file name")?)))
        .collect::<Result<Vec<_>>>()?;
    manifests.sort_by_key(|manifest| manifest["kind"] != "Namespace");
    Ok(manifests)
}

fn read(path: &Path) -> Result<Value> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_yaml::from_str(&text).with_context(|| format!("parsing {}", path.display()))
}
