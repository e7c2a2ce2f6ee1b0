//! Pushes to one application, and a kind that comes to be served.

use std::time::{Duration, Instant};

use anyhow::Result;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use pilothouse::api::apps::Subscription;
use serde_json::json;

use crate::replicas::Replica;
use crate::stage::{self, NAMESPACE, Stage, config_map};
use crate::support::Edit;
use crate::table::{Goal, Rows};

/// Pushes of each latency row.
const PUSHES: usize = 60;

/// The product on an empty hub, then pushes to one application.
pub async fn webhook(stage: &mut Stage, rows: &mut Rows) -> Result<()> {
    stage.start_product("15").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let replicas = stage.replicas()?.all();
    for (role, replica) in &replicas {
        let what = format!("resident memory, idle{}", role.of());
        let (now, _) = replica.product.memory()?;
        let goal = Goal::AtMost(30.0);
        rows.add(&what, now, "MiB", goal, "binary, one member");
    }
    first_push(stage).await?;
    let mut samples = vec![Vec::new(); replicas.len()];
    // They take turns, so that both meet the same moods of the machine.
    for number in 0..PUSHES * replicas.len() {
        pause(number).await;
        let turn = number % replicas.len();
        let at = Some(replicas[turn].1);
        samples[turn].push(push(stage, &format!("w{number}"), at).await?);
    }
    for ((role, _), samples) in replicas.iter().zip(&samples) {
        let what = format!("push → live by webhook{}", role.at());
        let goals = [Goal::AtMost(75.0), Goal::AtMost(200.0)];
        rows.add_percentiles(&what, samples, goals);
    }
    Ok(())
}

/// The same by polling once a second.
pub async fn poll(stage: &mut Stage, rows: &mut Rows) -> Result<()> {
    stage.stop_product().await?;
    stage.start_product("1").await?;
    first_push(stage).await?;
    let mut samples = Vec::new();
    for number in 0..PUSHES {
        pause(number).await;
        samples.push(push(stage, &format!("p{number}"), None).await?);
    }
    let goals = [Goal::None, Goal::AtMost(1_100.0)];
    rows.add_percentiles("push → live by poll each 1 s", &samples, goals);
    Ok(())
}

/// Delivers an application to every cluster.
pub async fn first_push(stage: &Stage) -> Result<()> {
    stage.push(&[config_map("push", "first")])?;
    stage.place("everywhere").await?;
    stage.subscribe("push", "push", "everywhere").await?;
    let first = |state: &crate::watching::Delivered| state.of("first") == 1;
    stage.watching.until("the first push", first).await?;
    Ok(())
}

/// Pauses of 100 to 600 ms, so that no poll or batch is always met alike.
pub async fn pause(number: usize) {
    let pause = 100 + u64::try_from(number).unwrap_or(0) * 137 % 500;
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

/// Pushes a change of it, announced to a replica; the time until it is live.
pub async fn push(
    stage: &Stage,
    generation: &str,
    announced: Option<&Replica>,
) -> Result<Duration> {
    let commit = stage.push(&[config_map("push", generation)])?;
    let pushed = Instant::now();
    if let Some(replica) = announced {
        stage.announce_to(replica, &commit).await?;
    }
    let live = stage
        .watching
        .until("a push", |state| state.of(generation) == 1)
        .await?;
    Ok(live - pushed)
}

/// A kind that the member comes to serve while an object of it waits.
pub async fn kind(stage: &mut Stage, rows: &mut Rows) -> Result<()> {
    if stage.running.is_none() {
        stage.start_product("15").await?;
    }
    let widget = json!({
        "apiVersion": "bench.pilothouse.dev/v1", "kind": "Widget",
        "metadata": {"name": "widget"}, "spec": {"size": 1},
    });
    let edits = [
        Edit::Write("widget/widget.yaml".to_owned(), widget.to_string()),
        config_map("widget", "beside"),
    ];
    let commit = stage.push(&edits)?;
    stage.place("everywhere").await?;
    if stage.has_push() {
        stage.delete::<Subscription>("push").await?;
        stage
            .watching
            .until("push deleted", |state| state.total() == 0)
            .await?;
    }
    stage.subscribe("widget", "widget", "everywhere").await?;
    stage.announce(&commit).await.ok();
    stage
        .watching
        .until("the object beside", |state| state.of("beside") == 1)
        .await?;
    // Late in the pause between two tries, if there were one.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let definition = json!({"spec": {
        "group": "bench.pilothouse.dev", "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"},
        "versions": [{
            "name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {
                "type": "object",
                "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
            }},
        }],
    }});
    let start = Instant::now();
    let member = &stage.member.calls;
    stage::apply::<CustomResourceDefinition>(
        member,
        "",
        "widgets.bench.pilothouse.dev",
        definition,
    )
    .await?;
    let kind = GroupVersionKind::gvk("bench.pilothouse.dev", "v1", "Widget");
    let resource = ApiResource::from_gvk_with_plural(&kind, "widgets");
    let widgets: Api<DynamicObject> = Api::namespaced_with(member.clone(), NAMESPACE, &resource);
    stage::eventually("the widget", async || {
        Ok(widgets.get_opt("widget").await.ok().flatten().is_some())
    })
    .await?;
    let note = "from applying the CRD";
    rows.add_time(
        "kind comes to be served → delivered",
        start.elapsed(),
        Goal::AtMost(1_000.0),
        note,
    );
    Ok(())
}
