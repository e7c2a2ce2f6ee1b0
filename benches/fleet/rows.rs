//! The rows on a hub and a member.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, PatchParams};
use kube::core::{ApiResource, GroupVersionKind, Request};
use pilothouse::api::apps::Subscription;
use serde_json::{Value, json};

use crate::Arguments;
use crate::stage::{
    self, APPLICATIONS, NAMESPACE, OBJECTS, Stage, application, config_map, manifest,
};
use crate::support::Edit;
use crate::table::{Goal, Rows};
use crate::watching::{Writes, summary};

/// Pushes of each latency row.
const PUSHES: usize = 60;
/// Requests in flight in the bare loop.
const IN_FLIGHT: usize = 64;
/// All objects of the big preset.
const ALL: usize = APPLICATIONS * OBJECTS;

/// The product on an empty hub, then pushes to one application.
pub async fn webhook(stage: &mut Stage, rows: &mut Rows) -> Result<()> {
    stage.start_product("15").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (now, _) = stage.product()?.memory()?;
    rows.add(
        "resident memory, idle",
        now,
        "MiB",
        Goal::AtMost(30.0),
        "binary, one member",
    );
    first_push(stage).await?;
    let mut samples = Vec::new();
    for number in 0..PUSHES {
        pause(number).await;
        samples.push(push(stage, &format!("w{number}"), true).await?);
    }
    let goals = [Goal::AtMost(75.0), Goal::AtMost(200.0)];
    rows.add_percentiles("push → live by webhook", &samples, goals);
    Ok(())
}

/// The same by polling once a second.
pub async fn poll(stage: &mut Stage, rows: &mut Rows) -> Result<()> {
    if let Some(product) = stage.product.take() {
        product.stop().await?;
    }
    stage.start_product("1").await?;
    first_push(stage).await?;
    let mut samples = Vec::new();
    for number in 0..PUSHES {
        pause(number).await;
        samples.push(push(stage, &format!("p{number}"), false).await?);
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
async fn pause(number: usize) {
    let pause = 100 + u64::try_from(number).unwrap_or(0) * 137 % 500;
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

/// Pushes a change of it; the time until it is live.
pub async fn push(stage: &Stage, generation: &str, announced: bool) -> Result<Duration> {
    let commit = stage.push(&[config_map("push", generation)])?;
    let pushed = Instant::now();
    if announced {
        stage.announce(&commit).await?;
    }
    let live = stage
        .watching
        .until("a push", |state| state.of(generation) == 1)
        .await?;
    Ok(live - pushed)
}

/// 200 applications of 4 objects: created, changed, quiet, restarted, deleted.
pub async fn applications(stage: &mut Stage, rows: &mut Rows, arguments: &Arguments) -> Result<()> {
    if stage.product.is_none() {
        stage.start_product("15").await?;
    }
    stage::apply::<k8s_openapi::api::core::v1::Namespace>(
        &stage.member.calls,
        "",
        NAMESPACE,
        json!({}),
    )
    .await?;
    bare(stage, "warm-up").await?;
    let bare = bare(stage, "again").await?;
    let rate = ALL as f64 / bare.as_secs_f64();
    let note = format!("{rate:.0} applies per second, {IN_FLIGHT} in flight, HTTP/2");
    rows.add_time("bare loop: 800 applies", bare, Goal::None, &note);

    let files: Vec<Edit> = (0..APPLICATIONS)
        .map(|number| manifest(&application(number), "created"))
        .collect();
    let commit = stage.push(&files)?;
    stage.announce(&commit).await.ok();
    stage
        .for_applications(async |name| stage.subscribe(name, name, "bench").await)
        .await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = (stage.product()?.cpu()?, stage.git.requests());
    let start = Instant::now();
    stage.place("bench").await?;
    let end = stage
        .watching
        .until("800 objects", |state| state.of("created") == ALL)
        .await?;
    let created = end - start;
    let cpu = stage.product()?.cpu()? - before.0;
    let note = format!(
        "from applying the shared PlacementRule; product used {} ms CPU",
        cpu.as_millis()
    );
    rows.add_time(
        "200 × 4 objects created",
        created,
        Goal::AtMost(1_500.0),
        &note,
    );
    let ratio = bare.as_secs_f64() / created.as_secs_f64();
    rows.add(
        "throughput, product : bare loop",
        ratio,
        "",
        Goal::AtLeast(0.5),
        "",
    );
    changes(stage, rows).await?;
    let (now, peak) = stage.product()?.memory()?;
    let note = format!("binary, peak {peak:.1} MiB");
    rows.add(
        "resident memory, 200 applications",
        now,
        "MiB",
        Goal::AtMost(40.0),
        &note,
    );
    quiet(stage, rows, arguments).await?;
    restart(stage, rows).await?;
    deleted(stage, rows).await
}

/// All objects by one commit, then one application by one commit.
async fn changes(stage: &Stage, rows: &mut Rows) -> Result<()> {
    let files: Vec<Edit> = (0..APPLICATIONS)
        .map(|number| manifest(&application(number), "changed"))
        .collect();
    let before = stage.product()?.cpu()?;
    let commit = stage.push(&files)?;
    let start = Instant::now();
    stage.announce(&commit).await?;
    let end = stage
        .watching
        .until("800 changed", |state| state.of("changed") == ALL)
        .await?;
    let cpu = stage.product()?.cpu()? - before;
    let note = format!(
        "one commit, webhook; product used {} ms CPU",
        cpu.as_millis()
    );
    rows.add_time(
        "200 × 4 objects changed",
        end - start,
        Goal::AtMost(1_500.0),
        &note,
    );

    let writes = Writes::start(&stage.member.watches).await?;
    writes.settle(Duration::from_secs(3)).await;
    let (mut samples, mut others) = (Vec::new(), Vec::new());
    for number in 0..20 {
        let name = application(number * 7 + 3);
        let generation = format!("one-{number}");
        let commit = stage.push(&[manifest(&name, &generation)])?;
        let start = Instant::now();
        stage.announce(&commit).await?;
        let end = stage
            .watching
            .until("one changed", |state| state.of(&generation) == OBJECTS)
            .await?;
        samples.push(end - start);
        tokio::time::sleep(Duration::from_millis(400)).await;
        // The objects, their ReplicaSets and the inventory carry its name.
        others.extend(
            writes
                .take()
                .into_iter()
                .filter(|write| !write.name.contains(&name)),
        );
    }
    let goals = [Goal::AtMost(100.0), Goal::AtMost(100.0)];
    rows.add_percentiles("one of 200 changed → live", &samples, goals);
    rows.add(
        "writes on the member for the other 199",
        others.len() as f64,
        "",
        Goal::AtMost(0.0),
        &summary(&others),
    );
    Ok(())
}

/// A time in which nothing happens.
async fn quiet(stage: &Stage, rows: &mut Rows, arguments: &Arguments) -> Result<()> {
    let seconds = if arguments.quick { 10 } else { 60 };
    for (name, client) in [("hub", &stage.hub), ("member", &stage.member)] {
        let writes = Writes::start(&client.watches).await?;
        writes.settle(Duration::from_secs(5)).await;
        let before = stage.product()?.cpu()?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let cpu = stage.product()?.cpu()? - before;
        let seen = writes.take();
        let what = format!("writes on the {name} in {seconds} quiet s, without Leases");
        let note = format!("product used {} ms CPU {}", cpu.as_millis(), summary(&seen));
        rows.add(&what, seen.len() as f64, "", Goal::AtMost(0.0), &note);
    }
    Ok(())
}

/// A process that starts on a fleet where everything is in place.
async fn restart(stage: &mut Stage, rows: &mut Rows) -> Result<()> {
    let hub = Writes::start(&stage.hub.watches).await?;
    let member = Writes::start(&stage.member.watches).await?;
    hub.settle(Duration::from_secs(2)).await;
    if let Some(product) = stage.product.take() {
        product.stop().await?;
    }
    hub.take();
    member.take();
    stage.start_product("15").await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    for (name, writes) in [("member", member.take()), ("hub", hub.take())] {
        let what = format!("writes on the {name} after a restart");
        let goal = if name == "member" {
            Goal::AtMost(0.0)
        } else {
            Goal::None
        };
        rows.add(&what, writes.len() as f64, "", goal, &summary(&writes));
    }
    let generation = "restarted";
    let commit = stage.push(&[manifest(&application(5), generation)])?;
    let start = Instant::now();
    stage.announce(&commit).await?;
    let end = stage
        .watching
        .until("a push after the restart", |state| {
            state.of(generation) == OBJECTS
        })
        .await?;
    rows.add_time(
        "first push after a restart → live",
        end - start,
        Goal::None,
        "",
    );
    Ok(())
}

async fn deleted(stage: &Stage, rows: &mut Rows) -> Result<()> {
    let left = usize::from(stage.has_push());
    let start = Instant::now();
    stage
        .for_applications(async |name| stage.delete::<Subscription>(name).await)
        .await?;
    let asked = start.elapsed();
    let end = stage
        .watching
        .until("800 deleted", |state| state.total() <= left)
        .await?;
    let note = format!(
        "from the first of 200 deletions, which took {} ms",
        asked.as_millis()
    );
    rows.add_time(
        "200 × 4 objects deleted",
        end - start,
        Goal::AtMost(2_000.0),
        &note,
    );
    let subscriptions: Api<Subscription> = Api::namespaced(stage.hub.calls.clone(), NAMESPACE);
    stage::eventually("the Subscriptions are gone", async || {
        let list = subscriptions
            .list_metadata(&kube::api::ListParams::default())
            .await?;
        Ok(list.items.len() <= left)
    })
    .await?;
    rows.add_time(
        "200 Subscriptions gone from the hub",
        start.elapsed(),
        Goal::None,
        "",
    );
    Ok(())
}

/// The same 800 objects, applied by a loop over a connection like the
/// product's; deleted again afterwards.
async fn bare(stage: &Stage, generation: &str) -> Result<Duration> {
    let client = &stage.member.calls;
    let mut requests = Vec::with_capacity(ALL);
    for number in 0..APPLICATIONS {
        for object in stage::objects(&format!("bare-{number:03}"), generation) {
            requests.push((path(&object)?, object.to_string()));
        }
    }
    let params = PatchParams::apply("bare");
    let start = Instant::now();
    let answers: Vec<Result<()>> = futures::stream::iter(&requests)
        .map(|(path, body)| {
            let params = &params;
            async move {
                let patch: Value = serde_json::from_str(body)?;
                let (collection, name) = path.rsplit_once('/').context("no name")?;
                let request = Request::new(collection);
                let request = request.patch(name, params, &kube::api::Patch::Apply(patch))?;
                client.request_text(request).await?;
                Ok(())
            }
        })
        .buffer_unordered(IN_FLIGHT)
        .collect()
        .await;
    let took = start.elapsed();
    answers.into_iter().collect::<Result<()>>()?;
    let deleted = futures::stream::iter(&requests).map(|(path, _)| async move {
        client
            .request_text(http::Request::delete(path).body(Vec::new())?)
            .await?;
        anyhow::Ok(())
    });
    let deleted: Vec<Result<()>> = deleted.buffer_unordered(IN_FLIGHT).collect().await;
    deleted.into_iter().collect::<Result<()>>()?;
    // The controllers' work for them must not fall into the next row.
    let writes = Writes::start(&stage.member.watches).await?;
    writes.settle(Duration::from_secs(2)).await;
    Ok(took)
}

fn path(object: &Value) -> Result<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("not a text");
    let (version, kind) = (text(&object["apiVersion"])?, text(&object["kind"])?);
    let root = if version == "v1" { "/api" } else { "/apis" };
    let plural = match kind.as_str() {
        "Ingress" => "ingresses".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    let name = text(&object["metadata"]["name"])?;
    Ok(format!(
        "{root}/{version}/namespaces/{NAMESPACE}/{plural}/{name}"
    ))
}

/// A kind that the member comes to serve while an object of it waits.
pub async fn kind(stage: &mut Stage, rows: &mut Rows) -> Result<()> {
    if stage.product.is_none() {
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
