//! A container of `deploy/` as a process of this machine.

use serde_json::{Value, json};

/// What a process has instead of the pod's addresses and its cache folder.
pub struct Place {
    /// Address of the dashboard.
    pub dashboard: String,
    /// Address of the operators' listener.
    pub operators: String,
    /// Path of the cache.
    pub cache: String,
}

impl Place {
    /// An argument or a variable of the container, as it is here.
    pub fn here(&self, text: &str) -> String {
        text.replace("0.0.0.0:8080", &self.dashboard)
            .replace("0.0.0.0:8081", &self.operators)
            .replace("$(POD_IP):8080", &self.dashboard)
            .replace("/var/cache/pilothouse", &self.cache)
    }
}

/// An admin's kubeconfig with a token instead of the user's certificate, for
/// the server at `url`.
pub fn with_token(admin: &str, url: &str, token: &str) -> String {
    let mut file: Value = serde_yaml::from_str(admin).unwrap();
    file["clusters"][0]["cluster"]["server"] = json!(url);
    file["users"][0]["user"] = json!({"token": token});
    file.to_string()
}
