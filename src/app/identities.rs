//! Who reads the dashboard, and what that identity may read: TokenReview and
//! SubjectAccessReview on the hub, remembered for a short while.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::OnceCell;

use crate::core::object::Digest;
use crate::core::view::{FleetView, Scope, Things, Visible};
use crate::web::access::{Authoriser, Presented, Reader, Refusal, Token};

/// How long a token is believed after the hub's API was asked about it.
const TOKENS: Duration = Duration::from_secs(30);
/// How long rights are believed.
const RIGHTS: Duration = Duration::from_secs(60);
/// Tokens, and identities, remembered at once.
const REMEMBERED: usize = 512;
/// Questions about one identity under way at once.
const QUESTIONS: usize = 16;
/// Time for everything that is asked about one request.
const DEADLINE: Duration = Duration::from_secs(8);

/// A user of the hub's API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct User {
    name: String,
    uid: Option<String>,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// Answers of the hub's API about who is who.
struct Identities {
    client: Client,
    tokens: Remembered<Digest, Option<User>>,
    rights: Remembered<User, Arc<Visible>>,
}

/// An authoriser that asks the API behind `client`. It needs `create` on
/// tokenreviews and subjectaccessreviews.
#[must_use]
pub fn authoriser(client: Client) -> Authoriser {
    let identities = Arc::new(Identities {
        client,
        tokens: Remembered::new(TOKENS),
        rights: Remembered::new(RIGHTS),
    });
    Arc::new(move |presented, view| {
        let identities = Arc::clone(&identities);
        Box::pin(async move {
            match tokio::time::timeout(DEADLINE, identities.reader(presented, &view)).await {
                Ok(reader) => reader,
                Err(_) => Err(unavailable(format!(
                    "The hub's API did not say within {} seconds what you may read.",
                    DEADLINE.as_secs()
                ))),
            }
        })
    })
}

fn unavailable(sentence: String) -> Refusal {
    Refusal::Unavailable(sentence)
}

/// What a failed question comes to. The error is logged: it may name servers.
fn unanswered(what: &'static str) -> impl Fn(kube::Error) -> Refusal {
    move |error| {
        tracing::warn!(%error, "cannot ask the hub's API about {what} of a dashboard reader");
        unavailable(format!(
            "The hub's API cannot be asked about your {what}: see the log of pilothouse."
        ))
    }
}

impl Identities {
    async fn reader(&self, presented: Presented, view: &FleetView) -> Result<Reader, Refusal> {
        let user = match presented {
            Presented::Token(token) => self.user(&token).await?.ok_or(Refusal::Unknown)?,
            Presented::Proxied { user, groups } => proxied(user, groups),
        };
        let visible = self
            .rights
            .get(user.clone(), || self.visible(&user, view.things()))
            .await?;
        Ok(Reader {
            name: user.name,
            visible,
        })
    }

    /// Whose token it is; `None` when it is nobody's.
    async fn user(&self, token: &Token) -> Result<Option<User>, Refusal> {
        let key = Digest::of_bytes(token.reveal().as_bytes());
        self.tokens.get(key, || self.review(token)).await
    }

    async fn review(&self, token: &Token) -> Result<Option<User>, Refusal> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.reveal().to_owned()),
                audiences: None,
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let answer = reviews
            .create(&PostParams::default(), &review)
            .await
            .map_err(unanswered("token"))?;
        let status = answer.status.unwrap_or_default();
        let known = status.authenticated == Some(true);
        Ok(status.user.filter(|_| known).and_then(user))
    }

    async fn visible(&self, user: &User, things: Things) -> Result<Arc<Visible>, Refusal> {
        let cluster = |verb: &str, name: Option<String>| ResourceAttributes {
            group: Some("cluster.open-cluster-management.io".to_owned()),
            resource: Some("managedclusters".to_owned()),
            verb: Some(verb.to_owned()),
            name,
            ..ResourceAttributes::default()
        };
        let listed = |group: &'static str, resource: &'static str| {
            move |namespace: Option<String>| ResourceAttributes {
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                verb: Some("list".to_owned()),
                namespace,
                ..ResourceAttributes::default()
            }
        };
        let every = [cluster("list", None), cluster("get", None)];
        let one = |name| cluster("get", name);
        let apps = "apps.open-cluster-management.io";
        let subscriptions = listed(apps, "subscriptions");
        let rules = listed(apps, "placementrules");
        let placements = listed("cluster.open-cluster-management.io", "placements");
        Ok(Arc::new(Visible {
            clusters: self.scope(user, &every, things.clusters, one).await?,
            applications: self
                .scope(
                    user,
                    &[subscriptions(None)],
                    things.applications,
                    subscriptions,
                )
                .await?,
            rules: self
                .scope(user, &[rules(None)], things.rules, rules)
                .await?,
            placements: self
                .scope(user, &[placements(None)], things.placements, placements)
                .await?,
        }))
    }

    /// All when one of the questions about all is answered with yes, else
    /// those names whose own question is.
    async fn scope(
        &self,
        user: &User,
        all: &[ResourceAttributes],
        names: BTreeSet<String>,
        one: impl Fn(Option<String>) -> ResourceAttributes + Copy,
    ) -> Result<Scope, Refusal> {
        for question in all {
            if self.may(user, question.clone()).await? {
                return Ok(Scope::All);
            }
        }
        let allowed: Vec<Option<String>> = stream::iter(names)
            .map(|name| async move {
                let allowed = self.may(user, one(Some(name.clone()))).await?;
                Ok(allowed.then_some(name))
            })
            .buffer_unordered(QUESTIONS)
            .try_collect()
            .await?;
        Ok(Scope::Only(allowed.into_iter().flatten().collect()))
    }

    async fn may(&self, user: &User, what: ResourceAttributes) -> Result<bool, Refusal> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user.name.clone()),
                uid: user.uid.clone(),
                groups: Some(user.groups.clone()),
                extra: Some(user.extra.clone()),
                resource_attributes: Some(what),
                non_resource_attributes: None,
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = reviews
            .create(&PostParams::default(), &review)
            .await
            .map_err(unanswered("rights"))?;
        let status = answer.status.unwrap_or_default();
        Ok(status.allowed && status.denied != Some(true))
    }
}

fn user(info: UserInfo) -> Option<User> {
    let name = info.username.filter(|name| !name.is_empty())?;
    Some(User {
        name,
        uid: info.uid,
        groups: info.groups.unwrap_or_default(),
        extra: info.extra.unwrap_or_default(),
    })
}

/// A review does not add what authentication would have.
fn proxied(name: String, mut groups: Vec<String>) -> User {
    let authenticated = "system:authenticated".to_owned();
    if !groups.contains(&authenticated) {
        groups.push(authenticated);
    }
    User {
        name,
        uid: None,
        groups,
        extra: BTreeMap::new(),
    }
}

/// An answer, or the question under way, and when it was first asked.
type Answer<V> = (Instant, Arc<OnceCell<V>>);

/// Answers remembered for a while, bounded in number; those who ask for the
/// same at once share one question. Failures are not remembered.
struct Remembered<K, V> {
    keep: Duration,
    answers: Mutex<BTreeMap<K, Answer<V>>>,
}

impl<K: Ord + Clone, V: Clone> Remembered<K, V> {
    fn new(keep: Duration) -> Self {
        Self {
            keep,
            answers: Mutex::default(),
        }
    }

    async fn get<F>(&self, key: K, ask: impl FnOnce() -> F) -> Result<V, Refusal>
    where
        F: Future<Output = Result<V, Refusal>>,
    {
        let cell = self.cell(key, Instant::now());
        cell.get_or_try_init(ask).await.cloned()
    }

    fn cell(&self, key: K, now: Instant) -> Arc<OnceCell<V>> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |since: &Instant| now.duration_since(*since) < self.keep;
        if let Some((since, cell)) = answers.get(&key)
            && fresh(since)
        {
            return Arc::clone(cell);
        }
        if answers.len() >= REMEMBERED {
            answers.retain(|_, (since, _)| fresh(since));
        }
        if answers.len() >= REMEMBERED {
            let oldest = answers.iter().min_by_key(|(_, (since, _))| *since);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                answers.remove(&oldest);
            }
        }
        let cell = Arc::default();
        answers.insert(key, (now, Arc::clone(&cell)));
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_asked_for_once_and_a_failure_again() {
        let remembered: Remembered<u8, u8> = Remembered::new(Duration::from_secs(60));
        let failed = remembered.get(1, || async { Err(Refusal::Unknown) }).await;
        assert_eq!(failed, Err(Refusal::Unknown));
        assert_eq!(remembered.get(1, || async { Ok(5) }).await, Ok(5));
        assert_eq!(remembered.get(1, || async { Ok(6) }).await, Ok(5));
    }

    #[test]
    fn an_old_answer_is_forgotten_and_the_number_is_bounded() {
        let remembered: Remembered<usize, u8> = Remembered::new(Duration::from_secs(60));
        let start = Instant::now();
        let first = remembered.cell(0, start);
        let same = remembered.cell(0, start + Duration::from_secs(59));
        assert!(Arc::ptr_eq(&first, &same));
        let later = remembered.cell(0, start + Duration::from_secs(60));
        assert!(!Arc::ptr_eq(&first, &later));
        for key in 0..2 * REMEMBERED {
            remembered.cell(key, start);
        }
        assert_eq!(remembered.answers.lock().unwrap().len(), REMEMBERED);
    }

    #[test]
    fn a_proxied_user_is_authenticated() {
        let user = proxied("ada".into(), vec!["dev".into()]);
        assert_eq!(user.groups, ["dev", "system:authenticated"]);
    }
}
