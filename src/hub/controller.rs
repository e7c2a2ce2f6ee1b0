//! Running the controllers: changes to keys, keys to reconcilers.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::context::Shared;
use super::queue::{Queue, Requeue};
use super::stores::{Change, ChangeReader};
use super::{application, cluster, placement, sets, subscription};
use crate::member::{ChangeKind, MemberChange};

/// Reconciles of one kind at once.
const WORKERS: usize = 16;

/// Starts all controllers of a hub. They run until `shutdown`.
pub fn start(context: &Shared, tasks: &TaskTracker, shutdown: &CancellationToken) {
    let run = Runner {
        context,
        tasks,
        shutdown,
    };
    tasks.spawn(forward_members(Arc::clone(context), shutdown.clone()));
    run.controller("cluster", cluster::concerned, |context, key| async move {
        cluster::reconcile(&context, &key).await
    });
    run.controller(
        "placement",
        placement::concerned,
        |context, key| async move { placement::reconcile(&context, &key).await },
    );
    run.controller(
        "subscription",
        subscription::concerned,
        |context, key| async move { subscription::reconcile(&context, &key).await },
    );
    run.controller(
        "application",
        application::concerned,
        |context, key| async move { application::reconcile(&context, &key).await },
    );
    run.controller(
        "clusterset",
        |_, change| {
            if sets::concerned(change) {
                vec!["all"]
            } else {
                Vec::new()
            }
        },
        |context, _| async move { sets::reconcile(&context).await },
    );
}

struct Runner<'a> {
    context: &'a Shared,
    tasks: &'a TaskTracker,
    shutdown: &'a CancellationToken,
}

impl Runner<'_> {
    /// One queue, one task that fills it, and workers that empty it.
    fn controller<K, F>(
        &self,
        controller: &'static str,
        concerned: impl Fn(&Shared, &Change) -> Vec<K> + Send + 'static,
        reconcile: impl Fn(Shared, K) -> F + Clone + Send + 'static,
    ) where
        K: Ord + Clone + Display + Send + 'static,
        F: Future<Output = Result<Requeue, kube::Error>> + Send + 'static,
    {
        // That of clusters connects them even where it may not write.
        if controller != "cluster" && !self.context.options.controllers.has(controller) {
            return;
        }
        let queue = Arc::new(Queue::default());
        let waiting = Arc::clone(&queue);
        self.context
            .metrics
            .controller(controller, move || waiting.depth());
        // Subscribe before the first look, so that nothing falls between.
        let changes = self.context.changes.subscribe();
        for key in concerned(self.context, &Change::Everything) {
            queue.add(key);
        }
        let (context, filled) = (Arc::clone(self.context), Arc::clone(&queue));
        self.spawn(async move { fill(context, changes, concerned, filled).await });
        for _ in 0..WORKERS {
            let (context, queue, reconcile) = (
                Arc::clone(self.context),
                Arc::clone(&queue),
                reconcile.clone(),
            );
            self.spawn(async move {
                loop {
                    let key = queue.next().await;
                    let began = Instant::now();
                    let outcome = reconcile(Arc::clone(&context), key.clone()).await;
                    context
                        .metrics
                        .reconciled(controller, &outcome, began.elapsed());
                    let requeue = settle(controller, &key, outcome);
                    context.passed();
                    queue.done(&key, requeue);
                }
            });
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = task => {}
            }
        });
    }
}

async fn fill<K: Ord + Clone>(
    context: Shared,
    mut changes: ChangeReader,
    concerned: impl Fn(&Shared, &Change) -> Vec<K>,
    queue: Arc<Queue<K>>,
) {
    while let Some(change) = changes.next().await {
        for key in concerned(&context, &change) {
            queue.add(key);
        }
    }
}

fn settle(controller: &str, key: &impl Display, outcome: Result<Requeue, kube::Error>) -> Requeue {
    match outcome {
        Ok(requeue) => requeue,
        // Someone wrote meanwhile: our caches are behind, and their event comes.
        Err(kube::Error::Api(status)) if status.code == 409 => Requeue::BackOff,
        Err(error) => {
            tracing::warn!(controller, %key, error = %super::chain(&error), "reconcile failed, trying again");
            Requeue::BackOff
        }
    }
}

/// Passes what members report on to the bus.
async fn forward_members(context: Shared, shutdown: CancellationToken) {
    use tokio::sync::broadcast::error::RecvError;
    let mut changes = context.pool.changes();
    loop {
        let change = tokio::select! {
            () = shutdown.cancelled() => return,
            change = changes.recv() => change,
        };
        match change {
            Ok(change) => context.changes.send(translate(change)),
            Err(RecvError::Lagged(_)) => context.changes.send(Change::Everything),
            Err(RecvError::Closed) => return,
        }
    }
}

fn translate(change: MemberChange) -> Change {
    match (change.kind, change.application) {
        (ChangeKind::Delivery | ChangeKind::Inventories, Some(application)) => {
            Change::Delivery(change.cluster, application)
        }
        _ => Change::Member(change.cluster),
    }
}
