//! Throughput, against the embedded server or the one of a kubeconfig.
use super::*;
use std::time::Instant;

const APPS: usize = 200;

fn text(app: usize, value: &str) -> String {
    let _ = app;
    (0..3)
        .map(|n| config(&format!("c{n}"), value))
        .collect::<String>()
        + "---\napiVersion: v1\nkind: Service\nmetadata: {name: s, annotations: {v: '"
        + value
        + "'}}\nspec: {ports: [{port: 80}], selector: {a: b}}\n"
}

fn app_owner(app: usize) -> Owner {
    Owner {
        application: NamespacedName::new(format!("ns-{app}"), "web"),
        ..owner("web")
    }
}

async fn all(pool: &Pool, cluster: &ClusterName, phase: DeliveryPhase, sets: &[Arc<DesiredSet>]) {
    for set in sets {
        wait_in(pool, cluster, &set.application, "all", |delivery| {
            delivery.phase == phase
                && (phase == DeliveryPhase::Removed
                    || delivery.desired.as_ref() == Some(&set.digest))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn two_hundred_applications() {
    let client = match std::env::var("DELIVER_KUBECONFIG") {
        Ok(path) => {
            let credential = crate::member::credential::MemberCredential::from_kubeconfig(
                &std::fs::read(path).unwrap(),
                None,
            )
            .unwrap();
            MemberClient::connect(&credential).await.unwrap()
        }
        Err(_) => {
            MemberClient::from_client(Server::open(Options::in_memory("m1")).unwrap().client())
        }
    };
    for round in ["bare create", "bare change"] {
        bare(&client, round).await;
    }
    let pool = Pool::new(PoolOptions::new("hub-1"));
    let cluster = ClusterName::from("m1");
    pool.connect(
        &cluster,
        MemberConnection {
            client,
            fingerprint: "1".into(),
        },
    );
    until("connected", || async {
        pool.inventories(&cluster).is_some()
    })
    .await;
    let sets = |value: &str| {
        (0..APPS)
            .map(|app| desire(&app_owner(app), &text(app, value)))
            .collect::<Vec<_>>()
    };
    for (what, sets) in [("created", sets("1")), ("all changed", sets("2"))] {
        let begun = Instant::now();
        for set in &sets {
            pool.desire(&cluster, &set.application, Desire::Deliver(set.clone()));
        }
        all(&pool, &cluster, DeliveryPhase::Applied, &sets).await;
        eprintln!("{what}: {:?}", begun.elapsed());
    }
    let one = desire(&app_owner(7), &text(7, "3"));
    let begun = Instant::now();
    pool.desire(&cluster, &one.application, Desire::Deliver(one.clone()));
    all(
        &pool,
        &cluster,
        DeliveryPhase::Applied,
        std::slice::from_ref(&one),
    )
    .await;
    eprintln!("one changed: {:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let sent: Vec<_> = sets("2")
        .iter()
        .map(|set| {
            pool.delivery(&cluster, &set.application)
                .unwrap()
                .last_pass
                .sent
        })
        .collect();
    eprintln!(
        "sent in last passes: min {:?} max {:?}",
        sent.iter().min(),
        sent.iter().max()
    );
    let begun = Instant::now();
    let sets = sets("2");
    for set in &sets {
        pool.desire(&cluster, &set.application, Desire::Remove);
    }
    all(&pool, &cluster, DeliveryPhase::Removed, &sets).await;
    eprintln!("removed: {:?}", begun.elapsed());
}

async fn bare(client: &MemberClient, round: &str) {
    use futures::StreamExt as _;
    let namespaces = Api::<Namespace>::all(client.calls.clone());
    let namespace: Namespace =
        serde_json::from_value(json!({"metadata": {"name": "bare"}})).unwrap();
    let _ = namespaces.create(&PostParams::default(), &namespace).await;
    let api = Api::<ConfigMap>::namespaced(client.calls.clone(), "bare");
    let begun = Instant::now();
    futures::stream::iter(0..APPS * 4)
        .map(|n| {
            let api = api.clone();
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c{n}")}, "data": {"v": round}});
            async move {
                api.patch(&format!("c{n}"), &PatchParams::apply("bare").force(), &Patch::Apply(object)).await.unwrap();
            }
        })
        .buffer_unordered(64)
        .collect::<Vec<()>>()
        .await;
    eprintln!("{round}: {:?}", begun.elapsed());
}
