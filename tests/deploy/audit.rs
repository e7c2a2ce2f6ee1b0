//! What an account really asked of an API server, from its audit log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Who asked for what, without contents: the log holds no Secret.
const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    userGroups: ['system:serviceaccounts']
  - level: None
";

/// An audit log that an API server writes.
pub struct AuditLog {
    policy: PathBuf,
    log: PathBuf,
}

/// One right that a request needed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// Verb of the request.
    pub verb: String,
    /// What it was for.
    pub target: Target,
}

/// What a request was for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// An API resource.
    Resource {
        /// API group; empty for the core.
        group: String,
        /// `resource` or `resource/subresource`.
        resource: String,
        /// Namespace; empty for all, and for cluster-scoped kinds.
        namespace: String,
    },
    /// A path that is none of a resource.
    Path(String),
}

/// What one account asked for.
#[derive(Debug, Default)]
pub struct Uses {
    /// The rights that were used.
    pub granted: BTreeSet<Use>,
    /// Requests that were refused, with the server's words.
    pub refused: BTreeMap<String, String>,
}

impl AuditLog {
    /// A log in a folder that outlives the API server.
    pub fn new(folder: &Path, name: &str) -> Self {
        let log = Self {
            policy: folder.join(format!("{name}-policy.yaml")),
            log: folder.join(format!("{name}-audit.log")),
        };
        std::fs::write(&log.policy, POLICY).unwrap();
        log
    }

    /// Flags of the API server.
    pub fn flags(&self) -> Vec<String> {
        vec![
            format!("--audit-policy-file={}", self.policy.display()),
            format!("--audit-log-path={}", self.log.display()),
        ]
    }

    /// What `account` (`namespace:name`) asked for so far.
    pub fn uses(&self, account: &str) -> Uses {
        read(&std::fs::read_to_string(&self.log).unwrap(), account)
    }
}

fn read(log: &str, account: &str) -> Uses {
    let user = format!("system:serviceaccount:{account}");
    let mut uses = Uses::default();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        if event["user"]["username"] != user.as_str() {
            continue;
        }
        let used = Use {
            verb: text(&event["verb"]),
            target: target(&event),
        };
        let code = event["responseStatus"]["code"].as_u64().unwrap_or_default();
        if code == 403 {
            let words = text(&event["responseStatus"]["message"]);
            uses.refused.insert(format!("{used:?}"), words);
            continue;
        }
        // An apply that makes the object needs the right to create it, which
        // the server asks for inside the request.
        if used.verb == "patch" && code == 201 {
            uses.granted.insert(Use {
                verb: "create".to_owned(),
                ..used.clone()
            });
        }
        uses.granted.insert(used);
    }
    uses
}

fn target(event: &Value) -> Target {
    let object = &event["objectRef"];
    if object["resource"].is_null() {
        let path = text(&event["requestURI"]);
        return Target::Path(path.split('?').next().unwrap_or_default().to_owned());
    }
    let resource = text(&object["resource"]);
    let resource = match object["subresource"].as_str() {
        Some(part) => format!("{resource}/{part}"),
        None => resource,
    };
    Target::Resource {
        group: text(&object["apiGroup"]),
        resource,
        namespace: text(&object["namespace"]),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_apply_that_creates_uses_both_verbs_and_a_refusal_none() {
    let event = |user: &str, verb: &str, resource: &str, code: u64| {
        serde_json::json!({
            "user": {"username": format!("system:serviceaccount:{user}")},
            "verb": verb, "requestURI": "/x",
            "objectRef": {"resource": resource, "apiGroup": "g", "subresource": "status"},
            "responseStatus": {"code": code, "message": "no"},
        })
        .to_string()
    };
    let log = [
        event("a:b", "patch", "things", 201),
        event("a:b", "list", "secrets", 403),
        event("a:c", "get", "things", 200),
    ]
    .join("\n");
    let uses = read(&log, "a:b");
    let verbs: Vec<&str> = uses.granted.iter().map(|used| used.verb.as_str()).collect();
    assert_eq!(verbs, ["create", "patch"]);
    assert_eq!(uses.refused.len(), 1);
    assert!(
        uses.refused
            .keys()
            .all(|key| key.contains("secrets/status"))
    );
}
