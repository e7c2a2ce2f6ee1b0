//! The same repository under many spellings.

/// The addresses under which a git server knows a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryAddress {
    urls: Vec<String>,
    paths: Vec<String>,
}

impl RepositoryAddress {
    /// Adds a URL of any kind (clone, page, ssh, scp-like, API); an empty one
    /// is left out, as it would match everything.
    pub(super) fn add_url(&mut self, url: &str) {
        if let Some(url) = normal(url)
            && !self.urls.contains(&url)
        {
            self.urls.push(url);
        }
    }

    /// Adds a path on a host that the payload does not name
    /// (`PROJECT/repository` of Bitbucket Server).
    pub(super) fn add_path(&mut self, path: &str) {
        let path = trimmed(path);
        if path.contains('/') {
            self.paths.push(path);
        }
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.urls.is_empty() && self.paths.is_empty()
    }

    /// The addresses in normal form, for logs.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.urls.iter().chain(&self.paths).map(String::as_str)
    }

    /// Whether `url` (a Channel's pathname) is one of the addresses. Scheme,
    /// user-info, port, the case of host and path, a `.git` suffix and slashes
    /// at the end do not count: hosts treat paths so, and a match too many
    /// costs one look at the repository.
    #[must_use]
    pub fn matches(&self, url: &str) -> bool {
        let Some(url) = normal(url) else {
            return false;
        };
        self.urls.contains(&url)
            || self.paths.iter().any(|path| {
                url.strip_suffix(path.as_str())
                    .is_some_and(|head| head.ends_with('/'))
            })
    }
}

/// `host/path` in lower case; `None` without both.
fn normal(url: &str) -> Option<String> {
    let url = url.trim();
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?,
        // scp-like: [user@]host:path
        None => url.split_once(':')?,
    };
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let path = trimmed(path);
    // Bitbucket Server: the clone URL has `/scm/`, pages `/projects/…/repos/`.
    let path = path
        .strip_prefix("scm/")
        .map_or(path.clone(), ToOwned::to_owned);
    if path.is_empty() {
        return None;
    }
    Some(format!("{}/{path}", host.to_ascii_lowercase()))
}

fn trimmed(path: &str) -> String {
    let path = path.trim_matches('/').to_lowercase();
    path.strip_suffix(".git").unwrap_or(&path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_repository_match() {
        let mut address = RepositoryAddress::default();
        address.add_url("https://github.com/Acme/Demo-App");
        for url in [
            "https://github.com/acme/demo-app",
            "https://github.com/Acme/Demo-App.git",
            "https://GitHub.com/Acme/Demo-App/",
            "http://user:token@github.com/Acme/Demo-App.git/",
            "https://github.com:443/Acme/Demo-App?x=y",
            "ssh://git@github.com/Acme/Demo-App.git",
            "git@github.com:Acme/Demo-App.git",
        ] {
            assert!(address.matches(url), "{url}");
        }
        for url in [
            "https://github.com/acme/demo-app2",
            "https://github.com/acme",
            "https://github.com/other/demo-app",
            "https://gitlab.com/acme/demo-app",
            "https://github.com.evil.example/acme/demo-app",
            "https://evil.example/github.com/acme/demo-app",
            "",
            "acme/demo-app",
        ] {
            assert!(!address.matches(url), "{url}");
        }
    }

    #[test]
    fn an_empty_address_matches_nothing() {
        let mut address = RepositoryAddress::default();
        for url in ["", " ", "https://github.com/", "https://github.com"] {
            address.add_url(url);
        }
        address.add_path("");
        address.add_path("one");
        assert!(address.is_empty());
        assert!(!address.matches("https://github.com/acme/app"));
        assert!(!address.matches(""));
    }

    #[test]
    fn a_path_matches_whole_components_on_any_host() {
        let mut address = RepositoryAddress::default();
        address.add_path("PRJ/my-repo");
        assert!(address.matches("https://bitbucket.example.com/scm/prj/my-repo.git"));
        assert!(address.matches("ssh://git@bitbucket.example.com:7999/prj/my-repo.git"));
        assert!(!address.matches("https://bitbucket.example.com/scm/aprj/my-repo.git"));
        assert!(!address.matches("https://bitbucket.example.com/scm/prj/my-repo-2.git"));
    }
}
