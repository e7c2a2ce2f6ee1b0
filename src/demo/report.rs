//! What the demo prints.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::cluster::Cluster;
use super::world::World;
use super::{MEMBERS, repository};
use crate::core::view::cluster::ClusterRow;
use crate::core::view::{Address, Chip, FleetView, Page, Query, Tone};

/// After this long the rest is left to the dashboard.
const PATIENCE: Duration = Duration::from_secs(20);
/// The directory that commands need not name.
const DEFAULT_DIR: &str = ".pilothouse/demo";
/// Applications that the demo applies.
const APPLICATIONS: usize = 3;

/// Prints to the standard output. One that is closed is no reason to stop.
pub(super) struct Report {
    started: Instant,
    dir: PathBuf,
    dashboard: SocketAddr,
}

impl Report {
    pub(super) fn new(started: Instant, dir: &Path, dashboard: SocketAddr) -> Self {
        let report = Self {
            started,
            dir: dir.to_owned(),
            dashboard,
        };
        report.print(&format!("Pilothouse demo in {}\n", dir.display()));
        report
    }

    /// The API servers are open.
    pub(super) fn servers(&self, world: &World) {
        for cluster in std::iter::once(&world.hub).chain(&world.members) {
            self.server(cluster);
        }
        self.line("dashboard", &format!("http://{}", self.dashboard));
    }

    fn server(&self, cluster: &Cluster) {
        let name = cluster.server.name();
        let file = self.dir.join(format!("{name}.kubeconfig"));
        let words = format!("Kubernetes API {}, {}", cluster.url, file.display());
        self.line(name, &words);
    }

    /// Prints what becomes true until everything is, then what to try.
    pub(super) async fn follow(&self, mut view: watch::Receiver<Arc<FleetView>>, empty: bool) {
        let mut said = BTreeSet::new();
        let wanted = Wanted {
            members: MEMBERS.len(),
            cables: 1,
            applications: if empty { 0 } else { APPLICATIONS },
        };
        let all = async {
            loop {
                let milestones = milestones(&view.borrow_and_update());
                for (subject, words) in &milestones.lines {
                    if said.insert((subject.clone(), words.clone())) {
                        self.line(subject, words);
                    }
                }
                if milestones.reach(&wanted) || view.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            self.line(
                "waiting",
                "not everything is well yet; the dashboard says why",
            );
        }
        self.print(&self.next_steps(empty));
    }

    /// The end.
    pub(super) fn stopping(&self) {
        self.print(&format!(
            "\nStopping. What is in {} is kept for the next start.",
            self.dir.display()
        ));
    }

    fn line(&self, subject: &str, words: &str) {
        let seconds = self.started.elapsed().as_secs_f32();
        self.print(&format!("{seconds:6.2} s  {subject:<32} {words}"));
    }

    fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    fn next_steps(&self, empty: bool) -> String {
        let dir = self.dir.canonicalize().unwrap_or_else(|_| self.dir.clone());
        let dir = dir.display();
        let at = if self.dir == Path::new(DEFAULT_DIR) {
            String::new()
        } else {
            format!(" --dir {}", self.dir.display())
        };
        let [one, two] = MEMBERS;
        let name = repository::NAME;
        let dashboard = self.dashboard;
        let apply = if empty {
            "\n  kubectl apply -k guestbook-app/acm-resources     # in the clone below, then the other two"
        } else {
            ""
        };
        format!(
            "
Dashboard: http://{dashboard}

Try next, in another terminal:
  export KUBECONFIG={dir}/hub.kubeconfig
  kubectl get managedclusters,applications.app.k8s.io,subscriptions -A{apply}
  kubectl --kubeconfig {dir}/{one}.kubeconfig get deployments,pods,serviceexports -n guestbook
  git clone -q {dir}/git/{name} acm-demo-app && cd acm-demo-app
  sed -i 's/replicas: 3/replicas: 5/' guestbook-app/guestbook/deployment.yaml
  git commit -qam 'More frontends' && git push -q                  # live in about a second
  pilothouse show connections
  pilothouse demo fault cut-cable {one} {two}{at}
Ctrl-C ends the demo; started again it goes on from here."
        )
    }
}

/// How much of each has to be true.
struct Wanted {
    members: usize,
    cables: usize,
    applications: usize,
}

/// What is true already.
#[derive(Default)]
struct Milestones {
    lines: Vec<(String, String)>,
    members: usize,
    cables: usize,
    applications: usize,
}

impl Milestones {
    fn reach(&self, wanted: &Wanted) -> bool {
        self.members >= wanted.members
            && self.cables >= wanted.cables
            && self.applications >= wanted.applications
    }
}

fn milestones(view: &FleetView) -> Milestones {
    let mut reached = Milestones::default();
    let query = Query::default();
    if let Some(Page::Clusters(page)) = view.page(&Address::Clusters, &query) {
        let joined = |row: &&ClusterRow| row.reach.tone == Tone::Ok && !row.version.is_empty();
        for row in page.rows.rows.iter().filter(joined) {
            reached.members += 1;
            let words = format!("joined the hub, Kubernetes {}", row.version);
            reached.lines.push((row.name.clone(), words));
        }
    }
    if let Some(Page::Cables(page)) = view.page(&Address::Cables, &query) {
        for pair in page.pairs.rows.iter().filter(|pair| pair.tone == Tone::Ok) {
            reached.cables += 1;
            let subject = format!("{} - {}", pair.a, pair.b);
            reached
                .lines
                .push((subject, "cable connected both ways".to_owned()));
        }
    }
    if let Some(Page::Applications(page)) = view.page(&Address::Applications, &query) {
        let well = |chip: &Chip| chip.tone == Tone::Ok;
        for row in page.rows.rows.iter() {
            if well(&row.sync) && well(&row.health) {
                reached.applications += 1;
                let words = format!("{}, {}", row.sync.word, row.health.word);
                reached.lines.push((row.name.clone(), words));
            }
        }
    }
    reached
}
