//! `url.<base>.insteadOf` of the operator's git configuration.
//!
//! We rewrite URLs ourselves, before any check, so that a rewritten
//! `file://` URL meets the same rules as one that a Channel names; libgit2
//! then sees no configuration but the mirror's own.

use std::path::{Path, PathBuf};

use super::error::GitError;

/// The rewriting rules of one process, longest prefix first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitConfig {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    prefix: String,
    base: String,
}

impl GitConfig {
    /// No rules.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What git itself would read: `GIT_CONFIG_GLOBAL` (or `~/.gitconfig` and
    /// the XDG file), `GIT_CONFIG_SYSTEM` (unless `GIT_CONFIG_NOSYSTEM`), and
    /// the `GIT_CONFIG_COUNT` pairs. Files that do not exist are skipped.
    ///
    /// # Errors
    /// [`GitError::Config`] if a file is there but cannot be read.
    pub fn from_environment() -> Result<Self, GitError> {
        let mut config = Self::none();
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if variable("GIT_CONFIG_NOSYSTEM").is_none_or(|value| value == "0" || value == "false") {
            let system = variable("GIT_CONFIG_SYSTEM").map(PathBuf::from);
            if let Some(path) = system.or_else(|| git2::Config::find_system().ok()) {
                config = config.with_file(&path)?;
            }
        }
        match variable("GIT_CONFIG_GLOBAL") {
            Some(path) => config = config.with_file(Path::new(&path))?,
            None => {
                let found = [git2::Config::find_xdg(), git2::Config::find_global()];
                for path in found.into_iter().flatten() {
                    config = config.with_file(&path)?;
                }
            }
        }
        let count = variable("GIT_CONFIG_COUNT")
            .and_then(|n| n.parse::<u16>().ok())
            .unwrap_or(0);
        for at in 0..count {
            let key = variable(&format!("GIT_CONFIG_KEY_{at}"));
            let value = variable(&format!("GIT_CONFIG_VALUE_{at}"));
            if let (Some(key), Some(value)) = (key, value)
                && let Some(base) = base_of(&key)
            {
                config = config.with_instead_of(value, base);
            }
        }
        Ok(config)
    }

    /// Adds the rules of one git configuration file (with its includes); a
    /// missing file adds none.
    ///
    /// # Errors
    /// [`GitError::Config`] with the file and libgit2's reason.
    pub fn with_file(mut self, path: &Path) -> Result<Self, GitError> {
        if !path.exists() {
            return Ok(self);
        }
        let failed = |error: git2::Error| GitError::Config {
            path: path.display().to_string(),
            reason: error.message().to_owned(),
        };
        let file = git2::Config::open(path).map_err(failed)?;
        let entries = file
            .entries(Some(r"^url\..*\.insteadof$"))
            .map_err(failed)?;
        entries
            .for_each(|entry| {
                if let (Ok(name), true) = (entry.name(), entry.has_value())
                    && let (Some(base), Ok(prefix)) = (base_of(name), entry.value())
                {
                    self.push(prefix.to_owned(), base.to_owned());
                }
            })
            .map_err(failed)?;
        Ok(self)
    }

    /// Adds one rule: URLs that begin with `prefix` begin with `base` instead.
    #[must_use]
    pub fn with_instead_of(mut self, prefix: impl Into<String>, base: impl Into<String>) -> Self {
        self.push(prefix.into(), base.into());
        self
    }

    fn push(&mut self, prefix: String, base: String) {
        if prefix.is_empty() {
            return;
        }
        // A later rule with the same prefix wins, as the later file does in git.
        self.rules.retain(|rule| rule.prefix != prefix);
        self.rules.push(Rule { prefix, base });
        self.rules
            .sort_by_key(|rule| std::cmp::Reverse(rule.prefix.len()));
    }

    /// The URL to use for `url`: the rule with the longest prefix applies,
    /// once, as in git.
    #[must_use]
    pub fn rewrite(&self, url: &str) -> String {
        for rule in &self.rules {
            if let Some(rest) = url.strip_prefix(rule.prefix.as_str()) {
                return format!("{}{rest}", rule.base);
            }
        }
        url.to_owned()
    }
}

/// The `<base>` of a key `url.<base>.insteadOf`.
fn base_of(key: &str) -> Option<&str> {
    let end = key.rfind('.')?;
    let (head, variable) = key.split_at(end);
    let section = head.get(..4)?;
    (section.eq_ignore_ascii_case("url.") && variable.eq_ignore_ascii_case(".insteadof"))
        .then(|| &head[4..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_applies_once() {
        let config = GitConfig::none()
            .with_instead_of("https://git.example.com/", "file:///srv/git/")
            .with_instead_of(
                "https://git.example.com/acm-demo-app.git",
                "file:///demo/app.git",
            )
            .with_instead_of("file:///srv/", "https://never/");
        for (url, expected) in [
            (
                "https://git.example.com/acm-demo-app.git",
                "file:///demo/app.git",
            ),
            ("https://git.example.com/other", "file:///srv/git/other"),
            ("https://github.com/a/b", "https://github.com/a/b"),
        ] {
            assert_eq!(config.rewrite(url), expected);
        }
    }

    #[test]
    fn rules_come_from_a_git_configuration_file_with_includes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        std::fs::write(
            &file,
            "[include]\n\tpath = more\n[url \"file:///Srv/Git.Dir/\"]\n\tinsteadOf = https://a/\n\tinsteadOf = gh:\n[user]\n\tname = x\n",
        )
        .unwrap();
        std::fs::write(
            dir.path().join("more"),
            "[url \"file:///more/\"]\ninsteadOf = https://b/\n",
        )
        .unwrap();
        let config = GitConfig::none().with_file(&file).unwrap();
        assert_eq!(config.rewrite("https://a/x"), "file:///Srv/Git.Dir/x");
        assert_eq!(config.rewrite("gh:x"), "file:///Srv/Git.Dir/x");
        assert_eq!(config.rewrite("https://b/x"), "file:///more/x");
    }

    #[test]
    fn a_missing_file_has_no_rules_and_a_broken_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none");
        assert_eq!(
            GitConfig::none().with_file(&missing).unwrap(),
            GitConfig::none()
        );
        let broken = dir.path().join("broken");
        std::fs::write(&broken, "[url \"x\ninsteadOf").unwrap();
        assert!(matches!(
            GitConfig::none().with_file(&broken),
            Err(GitError::Config { .. })
        ));
    }
}
