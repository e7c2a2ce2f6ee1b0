//! Which controllers run: `--controllers`, as kube-controller-manager has it.

use std::collections::BTreeSet;
use std::str::FromStr;

/// Names of the controllers.
pub const CONTROLLERS: [&str; 5] = [
    "application",
    "cluster",
    "clusterset",
    "placement",
    "subscription",
];

/// The controllers that run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection(BTreeSet<&'static str>);

/// No controller has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no controller {0:?}; there are {names}", names = CONTROLLERS.join(", "))]
pub struct UnknownController(String);

impl Default for Selection {
    fn default() -> Self {
        Self(CONTROLLERS.into())
    }
}

impl Selection {
    /// Whether the controller runs.
    #[must_use]
    pub fn has(&self, controller: &str) -> bool {
        self.0.contains(controller)
    }
}

impl FromStr for Selection {
    type Err = UnknownController;

    /// `*` selects all, `NAME` one, `-NAME` all but one; the first item about
    /// a controller counts.
    fn from_str(list: &str) -> Result<Self, UnknownController> {
        let items: Vec<&str> = list.split(',').map(str::trim).collect();
        for item in &items {
            let name = item.strip_prefix('-').unwrap_or(item);
            if *item != "*" && !CONTROLLERS.contains(&name) {
                return Err(UnknownController(name.to_owned()));
            }
        }
        let all = items.contains(&"*");
        let selected = |controller: &str| {
            items
                .iter()
                .find_map(|item| match item.strip_prefix('-') {
                    Some(name) if name == controller => Some(false),
                    None if *item == controller => Some(true),
                    _ => None,
                })
                .unwrap_or(all)
        };
        let names = CONTROLLERS.into_iter();
        Ok(Self(names.filter(|name| selected(name)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_select_as_in_kube_controller_manager() {
        for (list, expected) in [
            ("*", &CONTROLLERS[..]),
            (
                "*,-placement",
                &["application", "cluster", "clusterset", "subscription"],
            ),
            ("placement", &["placement"]),
            ("placement, cluster", &["cluster", "placement"]),
            ("placement,-placement", &["placement"]),
            (
                "-placement,placement,*",
                &["application", "cluster", "clusterset", "subscription"],
            ),
            ("-placement", &[]),
        ] {
            let found: Selection = list.parse().unwrap();
            assert_eq!(found.0, expected.iter().copied().collect(), "{list}");
        }
        assert_eq!(Selection::default(), "*".parse().unwrap());
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known() {
        for list in ["placements", "*,-place", "", "*,"] {
            let error = list.parse::<Selection>().unwrap_err().to_string();
            assert!(error.contains("application, cluster"), "{error}");
        }
    }
}
