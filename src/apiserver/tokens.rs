//! `serviceaccounts/NAME/token`: tokens of service accounts, and whose a
//! bearer token is.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Inner;
use super::auth::{Claims, Identity};
use super::failure::Failure;
use super::object;
use super::resource::Resource;
use super::route::Target;

/// Life of a token whose request names none, in seconds (Kubernetes' default).
const DEFAULT: i64 = 3_600;
/// kube-apiserver's bounds for a token's life, in seconds.
const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;

pub(super) fn is_token_request(target: &Target) -> bool {
    target.group.is_empty()
        && target.plural == "serviceaccounts"
        && target.subresource.as_deref() == Some("token")
}

fn accounts(inner: &Inner) -> Result<std::sync::Arc<Resource>, Failure> {
    inner
        .served
        .now()
        .find("", "v1", "serviceaccounts")
        .ok_or_else(Failure::unknown_path)
}

/// The status of a TokenRequest: a token bound to the account, which ends with
/// its time or with the account.
pub(super) fn issue(
    inner: &Inner,
    target: &Target,
    request: &Value,
    now: Timestamp,
) -> Result<Value, Failure> {
    let name = target.name.as_deref().unwrap_or_default();
    let account = super::read::get(inner, &*accounts(inner)?, target, name)?;
    let seconds = request["spec"]["expirationSeconds"]
        .as_i64()
        .unwrap_or(DEFAULT);
    let wrong = |why: &str| {
        Failure::unprocessable(format!(
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: {seconds}: may not specify a duration {why}"
        ))
    };
    if seconds < SHORTEST {
        return Err(wrong("less than 10 minutes"));
    }
    if seconds > LONGEST {
        return Err(wrong("larger than 2^32 seconds"));
    }
    let expires = now
        .checked_add(SignedDuration::from_secs(seconds))
        .map_err(|error| Failure::bad_request(error.to_string()))?;
    let token = inner.tokens.issue(&Claims {
        namespace: &account.namespace,
        name,
        uid: &account.uid,
        issued: now,
        expires,
    })?;
    Ok(json!({"token": token, "expirationTimestamp": object::time(expires)}))
}

/// Whose token it is. One of an account that is gone, or was made anew since,
/// is nobody's.
pub(super) fn whose(inner: &Inner, token: &str, now: Timestamp) -> Option<Identity> {
    let identity = inner.tokens.check(token, now)?;
    if identity.uid.is_empty() {
        return Some(identity);
    }
    let name = identity.name.strip_prefix("system:serviceaccount:")?;
    let (namespace, name) = name.split_once(':')?;
    let key = accounts(inner).ok()?.key(namespace, name);
    let account = inner.store.get(&key)?;
    (account.uid == identity.uid).then_some(identity)
}

#[cfg(test)]
mod tests {
    use crate::apiserver::{Options, Server};
    use k8s_openapi::api::authentication::v1::{TokenRequest, TokenReview};
    use k8s_openapi::api::core::v1::ServiceAccount;
    use kube::{Api, Client};
    use serde_json::json;

    async fn request(client: &Client, seconds: i64) -> Result<TokenRequest, kube::Error> {
        let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
        let request = serde_json::from_value(json!({
            "spec": {"audiences": [], "expirationSeconds": seconds},
        }));
        accounts
            .create_token_request("robot", &Default::default(), &request.unwrap())
            .await
    }

    async fn is_known(client: &Client, token: &str) -> bool {
        let review: TokenReview =
            serde_json::from_value(json!({"spec": {"token": token}})).unwrap();
        let reviews: Api<TokenReview> = Api::all(client.clone());
        let answer = reviews.create(&Default::default(), &review).await.unwrap();
        answer.status.unwrap().authenticated == Some(true)
    }

    fn robot() -> ServiceAccount {
        serde_json::from_value(json!({"metadata": {"name": "robot"}})).unwrap()
    }

    #[tokio::test]
    async fn a_token_ends_with_its_account() {
        let client = Server::open(Options::in_memory("one")).unwrap().client();
        let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
        assert!(request(&client, 600).await.is_err(), "no account yet");
        accounts
            .create(&Default::default(), &robot())
            .await
            .unwrap();
        let token = request(&client, 600).await.unwrap().status.unwrap().token;
        assert!(is_known(&client, &token).await);
        let another = request(&client, 600).await.unwrap().status.unwrap().token;
        assert_ne!(token, another);
        accounts.delete("robot", &Default::default()).await.unwrap();
        assert!(!is_known(&client, &token).await);
        accounts
            .create(&Default::default(), &robot())
            .await
            .unwrap();
        assert!(
            !is_known(&client, &token).await,
            "another account of that name"
        );
    }

    #[tokio::test]
    async fn a_life_has_bounds() {
        let client = Server::open(Options::in_memory("one")).unwrap().client();
        let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
        accounts
            .create(&Default::default(), &robot())
            .await
            .unwrap();
        for seconds in [599, (1 << 32) + 1] {
            let error = request(&client, seconds).await.unwrap_err().to_string();
            assert!(error.contains("may not specify a duration"), "{error}");
        }
        request(&client, 2_592_000).await.unwrap();
    }
}
