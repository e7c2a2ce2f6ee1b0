//! Who may look at the dashboard: flags to a choice.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use http::HeaderName;
use kube::Client;

use crate::app;
use crate::web::access::{Access, Asked, Network, TrustedProxy};

/// How readers of the dashboard are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// A token of the hub's API, as Authorization: Bearer or on the login page.
    Token,
    /// The user and group headers of a trusted proxy, or else a token.
    Proxy,
}

/// Who may look at the dashboard.
#[derive(Debug, Clone, Args)]
pub(super) struct DashboardArgs {
    /// How readers of the dashboard are recognised: each sees what its identity
    /// may read on the hub [default: everyone sees everything when --listen is
    /// a loopback address, else this or --dashboard-open must be given]
    #[arg(
        long,
        value_enum,
        value_name = "WAY",
        conflicts_with = "dashboard_open"
    )]
    dashboard_auth: Option<Way>,
    /// Show everything to everyone who reaches --listen.
    #[arg(long)]
    dashboard_open: bool,
    /// Addresses or ranges from which the proxy connects. Whoever can connect
    /// from there can be anyone: run the proxy in the same pod and give 127.0.0.1
    #[arg(
        long,
        value_name = "ADDR",
        value_delimiter = ',',
        required_if_eq("dashboard_auth", "proxy")
    )]
    dashboard_proxy_from: Vec<Network>,
    /// Header in which the proxy gives the user.
    #[arg(long, value_name = "HEADER", default_value = "x-remote-user")]
    dashboard_user_header: HeaderName,
    /// Header in which the proxy gives a group; it may come several times.
    #[arg(long, value_name = "HEADER", default_value = "x-remote-group")]
    dashboard_group_header: HeaderName,
}

/// What the flags come to.
#[derive(Debug)]
pub(super) enum Choice {
    Open,
    Asked(Option<TrustedProxy>),
}

/// A dashboard that nobody asked to be open to the network.
#[derive(Debug, thiserror::Error)]
#[error(
    "the dashboard on {0} would show the fleet to everyone who reaches it; choose --dashboard-auth=token, --dashboard-auth=proxy or --dashboard-open"
)]
pub(super) struct OpenToAll(SocketAddr);

impl DashboardArgs {
    /// Reads the flags, for a dashboard on `listen`.
    ///
    /// # Errors
    /// When everyone who reaches a listener beyond this machine could look.
    pub(super) fn choice(&self, listen: SocketAddr) -> Result<Choice, OpenToAll> {
        match self.dashboard_auth {
            None => open(listen, self.dashboard_open),
            Some(Way::Token) => Ok(Choice::Asked(None)),
            Some(Way::Proxy) => Ok(Choice::Asked(Some(TrustedProxy {
                from: self.dashboard_proxy_from.clone(),
                user: self.dashboard_user_header.clone(),
                group: self.dashboard_group_header.clone(),
            }))),
        }
    }
}

/// Open, where that harms nobody or was asked for.
///
/// # Errors
/// When `listen` can be reached from other machines and it was not.
pub(super) fn open(listen: SocketAddr, asked_for: bool) -> Result<Choice, OpenToAll> {
    if asked_for || listen.ip().is_loopback() {
        Ok(Choice::Open)
    } else {
        Err(OpenToAll(listen))
    }
}

impl Choice {
    /// The access, with identities checked by the API behind `client`.
    pub(super) fn access(self, client: &Client) -> Access {
        match self {
            Self::Open => Access::Open,
            Self::Asked(proxy) => Access::Asked(Asked {
                authoriser: app::authoriser(client.clone()),
                proxy,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        dashboard: DashboardArgs,
    }

    fn choice(listen: &str, flags: &[&str]) -> Result<String, String> {
        let line = Line::try_parse_from(std::iter::once(&"pilothouse").chain(flags))
            .map_err(|error| error.kind().to_string())?;
        let choice = line.dashboard.choice(listen.parse().unwrap());
        choice
            .map(|choice| match choice {
                Choice::Open => "open".to_owned(),
                Choice::Asked(None) => "token".to_owned(),
                Choice::Asked(Some(proxy)) => format!("proxy {}", proxy.from.len()),
            })
            .map_err(|_| "refused".to_owned())
    }

    #[test]
    fn nothing_is_open_to_the_network_unless_that_was_asked_for() {
        for (listen, flags, expected) in [
            ("127.0.0.1:8080", &[][..], Ok("open")),
            ("[::1]:8080", &[], Ok("open")),
            ("0.0.0.0:8080", &[], Err("refused")),
            ("10.0.0.1:8080", &[], Err("refused")),
            ("0.0.0.0:8080", &["--dashboard-open"], Ok("open")),
            ("0.0.0.0:8080", &["--dashboard-auth=token"], Ok("token")),
            ("127.0.0.1:8080", &["--dashboard-auth=token"], Ok("token")),
            (
                "0.0.0.0:8080",
                &[
                    "--dashboard-auth=proxy",
                    "--dashboard-proxy-from=127.0.0.1,::1",
                ],
                Ok("proxy 2"),
            ),
        ] {
            let found = choice(listen, flags);
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(found, expected, "{listen} {flags:?}");
        }
    }

    #[test]
    fn flags_that_contradict_or_are_not_enough_are_errors() {
        for flags in [
            &["--dashboard-auth=proxy"][..],
            &["--dashboard-auth=token", "--dashboard-open"],
            &["--dashboard-auth=none"],
            &["--dashboard-auth=proxy", "--dashboard-proxy-from=proxy"],
            &["--dashboard-user-header=a b"],
        ] {
            assert!(choice("127.0.0.1:8080", flags).is_err(), "{flags:?}");
        }
    }
}
