//! `.kubernetesignore`: patterns of `.gitignore`, the last match wins.

use globset::{GlobBuilder, GlobMatcher};

/// The patterns of one file.
pub(super) struct Ignore {
    patterns: Vec<Pattern>,
}

struct Pattern {
    negated: bool,
    directory_only: bool,
    glob: GlobMatcher,
}

impl Ignore {
    /// Reads patterns; one that is no glob is passed over, as git does.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        Self {
            patterns: text.lines().filter_map(Pattern::parse).collect(),
        }
    }

    /// Whether a path (from the repository root) is ignored. Each file is
    /// tested on its own: an ignored parent does not hide a file that a later
    /// pattern takes back, as in RHACM and unlike git.
    pub(super) fn matches(&self, path: &str) -> bool {
        let mut ignored = false;
        for pattern in &self.patterns {
            if pattern.matches(path) {
                ignored = !pattern.negated;
            }
        }
        ignored
    }
}

impl Pattern {
    fn parse(line: &str) -> Option<Self> {
        let line = line.trim_end();
        let (negated, pattern) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (
                false,
                line.strip_prefix('\\')
                    .filter(|rest| rest.starts_with(['#', '!']))
                    .unwrap_or(line),
            ),
        };
        if pattern.is_empty() || line.starts_with('#') {
            return None;
        }
        let (pattern, directory_only) = match pattern.strip_suffix('/') {
            Some(pattern) => (pattern, true),
            None => (pattern, false),
        };
        let anchored = pattern.contains('/');
        let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
        let pattern = if anchored {
            pattern.to_owned()
        } else {
            format!("**/{pattern}")
        };
        let glob = GlobBuilder::new(&pattern)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .ok()?;
        Some(Self {
            negated,
            directory_only,
            glob: glob.compile_matcher(),
        })
    }

    fn matches(&self, path: &str) -> bool {
        if !self.directory_only && self.glob.is_match(path) {
            return true;
        }
        path.match_indices('/').any(|(at, _)| {
            path.get(..at)
                .is_some_and(|parent| self.glob.is_match(parent))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_gitignore() {
        for (patterns, path, ignored) in [
            ("*.tmp.yaml", "app/a.tmp.yaml", true),
            ("/a.yaml", "a.yaml", true),
            ("/a.yaml", "app/a.yaml", false),
            ("app/*.yaml", "app/x/a.yaml", false),
            ("app/**", "app/x/a.yaml", true),
            ("docs/", "app/docs/a.yaml", true),
            ("docs/", "app/docs", false),
            ("docs", "app/docs/a.yaml", true),
            ("docs\n!docs/keep.yaml", "docs/keep.yaml", false),
            ("# docs", "# docs", false),
            ("\\#x.yaml", "#x.yaml", true),
            ("[", "[", false),
            ("", "a.yaml", false),
        ] {
            assert_eq!(
                Ignore::parse(patterns.as_bytes()).matches(path),
                ignored,
                "{patterns:?} {path}"
            );
        }
    }
}
