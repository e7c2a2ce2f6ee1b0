//! The store on disk: redb, written by one thread that commits everything
//! queued since its last commit at once. A write is acknowledged only after
//! its commit, so it survives `kill -9`.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::watch;

use super::store::Key;

const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const REVISION: &str = "revision";

/// Why the database cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum DurableError {
    /// redb refused; its words are in the message because its errors cannot
    /// be cloned to every waiting writer.
    #[error("the object database failed ({0}); check the disk and restart")]
    Database(String),
    /// A record is not what this server writes.
    #[error("the object database holds a damaged record {key:?}; restore it from a backup")]
    Damaged { key: String },
}

impl DurableError {
    fn of(error: impl std::fmt::Display) -> Self {
        Self::Database(error.to_string())
    }
}

/// One write or removal to be made durable.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) key: Key,
    /// `None` removes.
    pub(super) json: Option<Bytes>,
    pub(super) revision: u64,
}

/// What was on disk.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) objects: Vec<(Key, Vec<u8>)>,
    /// 0 for a new database.
    pub(super) revision: u64,
}

#[derive(Default)]
struct Queue {
    changes: Vec<Change>,
    closed: bool,
}

#[derive(Clone)]
enum Progress {
    Upto(u64),
    Failed(DurableError),
}

/// The open database and its writer thread.
pub(super) struct Durable {
    database: Arc<Database>,
    // Bounded by the requests in flight: each waits for its own commit.
    queue: Arc<(Mutex<Queue>, Condvar)>,
    progress: watch::Receiver<Progress>,
    /// Nothing up to here waits for a commit: it was on disk at the start.
    start: AtomicU64,
    writer: Option<std::thread::JoinHandle<()>>,
}

impl Durable {
    pub(super) fn open(path: &Path) -> Result<Self, DurableError> {
        let database = Database::builder()
            .set_cache_size(4 << 20)
            .create(path)
            .map_err(DurableError::of)?;
        let database = Arc::new(database);
        let queue = Arc::new((Mutex::new(Queue::default()), Condvar::new()));
        let (sender, progress) = watch::channel(Progress::Upto(0));
        let writer = std::thread::Builder::new()
            .name("api-store".to_owned())
            .spawn({
                let (database, queue) = (Arc::clone(&database), Arc::clone(&queue));
                move || write_until_closed(&database, &queue, &sender)
            })
            .map_err(DurableError::of)?;
        Ok(Self {
            database,
            queue,
            progress,
            start: AtomicU64::new(0),
            writer: Some(writer),
        })
    }

    /// Reads everything.
    pub(super) fn load(&self) -> Result<Loaded, DurableError> {
        let mut loaded = Loaded::default();
        let read = self.database.begin_read().map_err(DurableError::of)?;
        let objects = match read.open_table(OBJECTS) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(loaded),
            Err(error) => return Err(DurableError::of(error)),
        };
        for row in objects.iter().map_err(DurableError::of)? {
            let (path, json) = row.map_err(DurableError::of)?;
            let Some(key) = parse_path(path.value()) else {
                let key = path.value().to_owned();
                return Err(DurableError::Damaged { key });
            };
            loaded.objects.push((key, json.value().to_vec()));
        }
        let meta = read.open_table(META).map_err(DurableError::of)?;
        let revision = meta.get(REVISION).map_err(DurableError::of)?;
        loaded.revision = revision.map_or(0, |guard| guard.value());
        Ok(loaded)
    }

    /// Hands a change to the writer. Call in the order of revisions.
    pub(super) fn enqueue(&self, change: Change) {
        let (queue, wake) = &*self.queue;
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.changes.push(change);
        wake.notify_one();
    }

    /// Says at which revision the store begins; call it once, after loading.
    pub(super) fn begin_at(&self, revision: u64) {
        self.start.store(revision, Ordering::Relaxed);
    }

    /// Waits for the commit of `revision`.
    pub(super) async fn committed(&self, revision: u64) -> Result<(), DurableError> {
        if revision <= self.start.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut progress = self.progress.clone();
        let reached = progress
            .wait_for(|p| match p {
                Progress::Upto(done) => *done >= revision,
                Progress::Failed(_) => true,
            })
            .await;
        match reached {
            Ok(done) => match &*done {
                Progress::Upto(_) => Ok(()),
                Progress::Failed(error) => Err(error.clone()),
            },
            Err(_) => Err(DurableError::of("the writer stopped")),
        }
    }

    /// Ends, with the reason, when the disk takes no more. Then what is in
    /// memory is ahead of the disk for good.
    pub(super) async fn failed(&self) -> DurableError {
        let mut progress = self.progress.clone();
        let failed = progress
            .wait_for(|p| matches!(p, Progress::Failed(_)))
            .await;
        match failed.as_deref() {
            Ok(Progress::Failed(error)) => error.clone(),
            _ => DurableError::of("the writer stopped"),
        }
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        let (queue, wake) = &*self.queue;
        queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        wake.notify_one();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing left to say here.
            let _ = writer.join();
        }
    }
}

fn write_until_closed(
    database: &Database,
    queue: &(Mutex<Queue>, Condvar),
    progress: &watch::Sender<Progress>,
) {
    let (queue, wake) = queue;
    loop {
        let mut waiting = queue.lock().unwrap_or_else(PoisonError::into_inner);
        while waiting.changes.is_empty() && !waiting.closed {
            waiting = wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let batch = std::mem::take(&mut waiting.changes);
        drop(waiting);
        let Some(last) = batch.last() else { return };
        match commit(database, &batch) {
            Ok(()) => progress.send_replace(Progress::Upto(last.revision)),
            Err(error) => {
                // What is in memory is ahead of the disk now; no later write
                // may be acknowledged.
                tracing::error!(%error, "the API server's store stopped");
                progress.send_replace(Progress::Failed(error));
                return;
            }
        };
    }
}

fn commit(database: &Database, batch: &[Change]) -> Result<(), DurableError> {
    let write = database.begin_write().map_err(DurableError::of)?;
    {
        let mut objects = write.open_table(OBJECTS).map_err(DurableError::of)?;
        let mut meta = write.open_table(META).map_err(DurableError::of)?;
        for change in batch {
            let path = path(&change.key);
            match &change.json {
                Some(json) => objects.insert(path.as_str(), json.as_ref()),
                None => objects.remove(path.as_str()),
            }
            .map_err(DurableError::of)?;
            meta.insert(REVISION, change.revision)
                .map_err(DurableError::of)?;
        }
    }
    write.commit().map_err(DurableError::of)
}

fn path(key: &Key) -> String {
    format!("{}\0{}\0{}", key.collection, key.namespace, key.name)
}

fn parse_path(path: &str) -> Option<Key> {
    let mut parts = path.split('\0');
    Some(Key {
        collection: parts.next()?.into(),
        namespace: parts.next()?.to_owned(),
        name: parts.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::store::{Expect, Store};
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn committed_objects_and_removals_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("objects.redb");
        let key = |name: &str| Key {
            collection: "/configmaps".into(),
            namespace: "ns".to_owned(),
            name: name.to_owned(),
        };
        let last = {
            let store = Store::open(Some(Durable::open(&path).unwrap()), 10).unwrap();
            for name in ["kept", "gone"] {
                let object = json!({"metadata": {"name": name, "namespace": "ns", "uid": name}});
                store.put(&key(name), Expect::Absent, object).unwrap();
            }
            let live = store.get(&key("gone")).unwrap();
            let gone = store
                .remove(&key("gone"), Expect::Revision(live.revision), live.value())
                .unwrap();
            store.committed(gone.revision).await.unwrap();
            gone.revision
        };
        let store = Store::open(Some(Durable::open(&path).unwrap()), 10).unwrap();
        assert!(store.get(&key("kept")).is_some());
        assert!(store.get(&key("gone")).is_none());
        assert!(store.revision() > last);
        // A write that changes nothing waits for no commit.
        store.committed(store.revision()).await.unwrap();
        // History from before the restart is not remembered.
        assert!(store.since(&key("kept").collection, last).is_err());
    }
}
