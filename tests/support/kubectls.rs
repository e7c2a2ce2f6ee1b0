//! The kubectls at hand.

use std::path::PathBuf;

use super::tier::Missing;

/// Those of `PILOTHOUSE_KUBECTLS` in their order, whether they are there or
/// not, and the control plane's; or else the one on the PATH.
pub fn kubectls() -> Result<Vec<PathBuf>, Missing> {
    let named = std::env::var_os("PILOTHOUSE_KUBECTLS").unwrap_or_default();
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let named = std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty());
    let assets = assets.map(|folder| folder.join("kubectl"));
    let mut found: Vec<PathBuf> = named.chain(assets.filter(|path| path.is_file())).collect();
    if found.is_empty() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path).map(|folder| folder.join("kubectl"));
        found.extend(folders.find(|binary| binary.is_file()));
    }
    found.dedup();
    if found.is_empty() {
        return Err(Missing::new(
            "there is no kubectl on the PATH and PILOTHOUSE_KUBECTLS names none",
            "install kubectl, or set PILOTHOUSE_KUBECTLS=/path/kubectl:/path/to/another",
        ));
    }
    Ok(found)
}
