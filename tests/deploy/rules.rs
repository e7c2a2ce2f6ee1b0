//! The rules of a shipped Role or ClusterRole, one right at a time, against
//! the rights that were used.

use serde_json::Value;

use crate::audit::{Target, Use, Uses};

/// One right of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    verb: String,
    covers: Covers,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Covers {
    /// Group and resource; `*` stands for all.
    Resource { group: String, resource: String },
    /// A path; `*` at its end stands for the rest.
    Path(String),
}

/// A right that no request of the scenario can show, and why it stands.
pub struct Unseen {
    /// Role or ClusterRole.
    pub role: &'static str,
    /// API group.
    pub group: &'static str,
    /// Resources.
    pub resources: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// The case that needs it.
    pub why: &'static str,
    /// Whether it depends on the machine's pace if the story shows it.
    pub sometimes: bool,
}

impl Unseen {
    fn names(&self, role: &str, right: &Right) -> bool {
        let Covers::Resource { group, resource } = &right.covers else {
            return false;
        };
        self.role == role
            && self.group == group
            && self.resources.contains(&resource.as_str())
            && self.verbs.contains(&right.verb.as_str())
    }

    fn rights(&self) -> usize {
        self.resources.len() * self.verbs.len()
    }
}

impl Right {
    fn used(&self, used: &Use, namespace: Option<&str>) -> bool {
        let covered = match (&self.covers, &used.target) {
            (
                Covers::Resource { group, resource },
                Target::Resource {
                    group: of,
                    resource: what,
                    namespace: within,
                },
            ) => {
                (group == "*" || group == of)
                    && (resource == "*" || resource == what)
                    && namespace.is_none_or(|namespace| namespace == within)
            }
            (Covers::Path(pattern), Target::Path(path)) => match pattern.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => path == pattern,
            },
            _ => false,
        };
        covered && self.verb == used.verb
    }
}

/// The rights of a role, each once a resource and verb.
fn rights(role: &Value) -> Vec<Right> {
    let list = |value: &Value| -> Vec<String> {
        let values = value.as_array().into_iter().flatten();
        values
            .map(|value| value.as_str().unwrap().to_owned())
            .collect()
    };
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().unwrap() {
        let mut covers: Vec<Covers> = list(&rule["nonResourceURLs"])
            .into_iter()
            .map(Covers::Path)
            .collect();
        for group in list(&rule["apiGroups"]) {
            covers.extend(list(&rule["resources"]).into_iter().map(|resource| {
                let group = group.clone();
                Covers::Resource { group, resource }
            }));
        }
        for verb in list(&rule["verbs"]) {
            rights.extend(covers.iter().map(|covers| Right {
                verb: verb.clone(),
                covers: covers.clone(),
            }));
        }
    }
    rights
}

/// What is wrong with a role: rights that nobody used and no reason keeps,
/// and reasons for rights that were used or are not in it.
pub fn complaints(role: &Value, uses: &Uses, unseen: &[Unseen]) -> Vec<String> {
    let name = role["metadata"]["name"].as_str().unwrap();
    let namespace = role["metadata"]["namespace"].as_str();
    let mut complaints = Vec::new();
    let mut reasons = 0;
    for right in rights(role) {
        let used = uses.granted.iter().any(|used| right.used(used, namespace));
        let reason = unseen.iter().find(|unseen| unseen.names(name, &right));
        reasons += usize::from(reason.is_some());
        match (used, reason) {
            (true, Some(reason)) if !reason.sometimes => complaints.push(format!(
                "{name}: {right:?} was used, so this is no reason: {}",
                reason.why
            )),
            (false, None) => complaints.push(format!("{name}: nobody used {right:?}")),
            _ => {}
        }
    }
    let stated: usize = unseen
        .iter()
        .filter(|unseen| unseen.role == name)
        .map(Unseen::rights)
        .sum();
    if stated != reasons {
        complaints.push(format!(
            "{name}: reasons for {stated} rights, of which it has {reasons}"
        ));
    }
    complaints
}

#[test]
fn an_unused_right_needs_a_reason_and_a_used_one_none() {
    let role = serde_json::json!({
        "metadata": {"name": "r"},
        "rules": [{"apiGroups": ["g"], "resources": ["things"], "verbs": ["get", "list"]}],
    });
    let mut uses = Uses::default();
    uses.granted.insert(Use {
        verb: "get".to_owned(),
        target: Target::Resource {
            group: "g".to_owned(),
            resource: "things".to_owned(),
            namespace: String::new(),
        },
    });
    let unseen = |verbs: &'static [&'static str]| Unseen {
        role: "r",
        group: "g",
        resources: &["things"],
        verbs,
        why: "",
        sometimes: false,
    };
    assert_eq!(complaints(&role, &uses, &[]).len(), 1);
    assert_eq!(complaints(&role, &uses, &[unseen(&["list"])]).len(), 0);
    assert_eq!(
        complaints(&role, &uses, &[unseen(&["get", "list"])]).len(),
        1
    );
    assert_eq!(
        complaints(&role, &uses, &[unseen(&["list", "watch"])]).len(),
        1
    );
}
