//! Tiers of tests that need something of the machine. A tier that cannot run
//! says so on the terminal; where `PILOTHOUSE_REQUIRE` (comma list) names it,
//! it fails instead, so that a pipeline cannot lose a tier in silence.

use std::io::Write;
use std::sync::Mutex;

/// Why a tier cannot run here, and what would make it run.
#[derive(Debug)]
pub struct Missing {
    /// What was looked for and not found.
    pub why: String,
    /// The command or setting that provides it.
    pub how: String,
}

impl Missing {
    /// A reason and its remedy.
    pub fn new(why: impl Into<String>, how: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            how: how.into(),
        }
    }
}

/// True where `PILOTHOUSE_REQUIRE` names the tier (or `all`).
pub fn required(tier: &str) -> bool {
    names(
        &std::env::var("PILOTHOUSE_REQUIRE").unwrap_or_default(),
        tier,
    )
}

fn names(list: &str, tier: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .any(|name| name == tier || name == "all")
}

/// The tier's means, or `None` after a loud `SKIPPED` line; panics where the
/// tier is required. Typical use:
/// `let Some(binaries) = have("controlplane", Binaries::find()) else { return };`
pub fn have<T>(tier: &str, found: Result<T, Missing>) -> Option<T> {
    match found {
        Ok(means) => Some(means),
        Err(Missing { why, how }) if required(tier) => {
            panic!("tier {tier} is required by PILOTHOUSE_REQUIRE but {why}; to have it: {how}")
        }
        Err(missing) => {
            announce(tier, &missing);
            None
        }
    }
}

/// Once per tier and process, straight to the terminal: the test runner
/// swallows what `eprintln!` prints in a passing test.
fn announce(tier: &str, missing: &Missing) {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut said = SAID.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if said.iter().any(|name| name == tier) {
        return;
    }
    said.push(tier.to_owned());
    let Missing { why, how } = missing;
    let line = format!("\nSKIPPED {tier}: {why}, to have it: {how}\n");
    // A closed terminal is no reason to fail a test.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn requirement_list_names_whole_tiers() {
        for (list, wanted) in [
            ("", false),
            ("browser", false),
            ("controlplane", true),
            ("browser, controlplane", true),
            ("controlplanes", false),
            ("all", true),
        ] {
            assert_eq!(names(list, "controlplane"), wanted, "{list:?}");
        }
    }
}
