//! Members compared with git: what git names is there as git has it, what git
//! does not name is not, and nothing was deleted in between.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Client;
use pilothouse::api::ANNOTATION_HOSTING_SUBSCRIPTION;
use serde_json::Value;

use crate::source::App;
use crate::support::objects::{self, Kind};
use crate::support::{GitFixture, await_condition};
use crate::world::{GUESTBOOK, World};

/// Kinds of the repository.
const KINDS: [Kind; 5] = [
    objects::CONFIG_MAP,
    objects::SERVICE,
    objects::DEPLOYMENT,
    objects::ROUTE,
    objects::SERVICE_EXPORT,
];

/// Identities of what a member holds, by kind and name.
pub type Identities = BTreeMap<String, String>;

/// What git says of an application: its objects.
fn wanted(repo: &GitFixture, app: App) -> Vec<Value> {
    let folder = app.manifest("x");
    let folder = folder.trim_end_matches("/x");
    let files = repo.files(folder).unwrap();
    files
        .values()
        .map(|text| serde_yaml::from_str(text).unwrap())
        .collect()
}

/// Objects of a member that a Subscription of ours delivered, by kind and name.
async fn held(member: &Client) -> Result<BTreeMap<String, Value>, String> {
    let mut held = BTreeMap::new();
    for kind in KINDS {
        for object in kind.list(member, GUESTBOOK).await? {
            let annotations = &object["metadata"]["annotations"];
            if annotations[ANNOTATION_HOSTING_SUBSCRIPTION].is_string() {
                held.insert(key(kind, &object), object);
            }
        }
    }
    Ok(held)
}

fn key(kind: Kind, object: &Value) -> String {
    format!(
        "{} {}",
        kind.name(),
        object["metadata"]["name"].as_str().unwrap_or_default()
    )
}

/// Whether `found` holds everything that `wanted` says. Lists must be as long.
fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(field, value)| found.get(field).is_some_and(|found| contains(found, value))),
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(f, w)| contains(f, w))
        }
        _ => found == wanted,
    }
}

/// Compares once; the difference in words.
async fn compare(world: &World, apps: &[App]) -> Result<Identities, String> {
    let mut identities = Identities::new();
    for (cluster, member) in &world.members {
        let apps: Vec<App> = apps
            .iter()
            .copied()
            .filter(|app| app.cluster() == cluster)
            .collect();
        let mut held = held(member).await?;
        for manifest in apps.iter().flat_map(|app| wanted(&world.repo, *app)) {
            let kind = Kind::of(&manifest).ok_or("unknown kind")?;
            let key = key(kind, &manifest);
            let found = held
                .remove(&key)
                .ok_or(format!("{key} is not on {cluster}"))?;
            let mut manifest = manifest.clone();
            // Served lists leave these out on some servers.
            if let Some(fields) = manifest.as_object_mut() {
                fields.remove("apiVersion");
                fields.remove("kind");
            }
            if !contains(&found, &manifest) {
                return Err(format!("{key} on {cluster} is not as git has it: {found}"));
            }
            let uid = found["metadata"]["uid"].as_str().unwrap_or_default();
            identities.insert(format!("{cluster} {key}"), uid.to_owned());
        }
        if let Some(left) = held.keys().next() {
            return Err(format!("{left} is on {cluster}, but not in git"));
        }
    }
    Ok(identities)
}

/// Waits until every member holds what git says and nothing else; what was
/// there `before` and still is must be the same objects.
pub async fn audit(world: &World, before: &Identities, limit: Duration) -> Identities {
    audit_of(world, &App::ALL, before, limit).await
}

/// The audit of some applications: the others are not on any member.
pub async fn audit_of(
    world: &World,
    apps: &[App],
    before: &Identities,
    limit: Duration,
) -> Identities {
    let after = await_condition("the members to hold what git says", limit, || {
        compare(world, apps)
    })
    .await;
    for (key, uid) in before {
        if let Some(now) = after.get(key) {
            assert_eq!(uid, now, "{key} was deleted and made again");
        }
    }
    after
}
