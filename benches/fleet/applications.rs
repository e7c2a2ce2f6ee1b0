//! 200 applications: created, changed, quiet, restarted, deleted.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use kube::api::{Api, PatchParams};
use kube::core::Request;
use pilothouse::api::apps::Subscription;
use serde_json::{Value, json};

use crate::Arguments;
use crate::stage::{self, APPLICATIONS, NAMESPACE, OBJECTS, Stage, application, manifest};
use crate::support::Edit;
use crate::table::{Goal, Rows};
use crate::takeover;
use crate::watching::{Writes, summary};

/// Requests in flight in the bare loop.
const IN_FLIGHT: usize = 64;
/// All objects of the big preset.
const ALL: usize = APPLICATIONS * OBJECTS;

/// 200 applications of 4 objects: created, changed, quiet, restarted, deleted.
pub async fn applications(stage: &mut Stage, rows: &mut Rows, arguments: &Arguments) -> Result<()> {
    if stage.running.is_none() {
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
    for (role, replica) in stage.replicas()?.all() {
        let what = format!("resident memory, 200 applications{}", role.of());
        let (now, peak) = replica.product.memory()?;
        let note = format!("binary, peak {peak:.1} MiB");
        rows.add(&what, now, "MiB", Goal::AtMost(40.0), &note);
    }
    quiet(stage, rows, arguments).await?;
    restart(stage, rows).await?;
    if stage.is_shipped() {
        takeover::killed(stage, rows, arguments).await?;
    }
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
    let replicas = stage.replicas()?.all();
    let mut used = vec![Duration::ZERO; replicas.len()];
    for (name, client) in [("hub", &stage.hub), ("member", &stage.member)] {
        let writes = Writes::start(&client.watches).await?;
        writes.settle(Duration::from_secs(5)).await;
        let mut before = Vec::new();
        for (_, replica) in &replicas {
            before.push(replica.product.cpu()?);
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let leader = stage.product()?.cpu()? - before[0];
        for (number, (_, replica)) in replicas.iter().enumerate() {
            used[number] += replica.product.cpu()? - before[number];
        }
        let seen = writes.take();
        let what = format!("writes on the {name} in {seconds} quiet s, without Leases");
        let cpu = leader.as_millis();
        let note = format!("product used {cpu} ms CPU {}", summary(&seen));
        rows.add(&what, seen.len() as f64, "", Goal::AtMost(0.0), &note);
    }
    // One process says it in the notes.
    if stage.is_shipped() {
        let quiet = Duration::from_secs(2 * seconds);
        for ((role, _), used) in replicas.iter().zip(used) {
            let what = format!("CPU while quiet, 200 applications{}", role.of());
            let percent = used.as_secs_f64() / quiet.as_secs_f64() * 100.0;
            let note = format!("{} ms in {} s", used.as_millis(), quiet.as_secs());
            rows.add(&what, percent, "% of a core", Goal::None, &note);
        }
    }
    Ok(())
}

/// A process that begins to lead a fleet where everything is in place.
async fn restart(stage: &mut Stage, rows: &mut Rows) -> Result<()> {
    let hub = Writes::start(&stage.hub.watches).await?;
    let member = Writes::start(&stage.member.watches).await?;
    hub.settle(Duration::from_secs(2)).await;
    let after = if stage.is_shipped() {
        takeover::handed_over(stage, rows).await?;
        "a handover"
    } else {
        stage.stop_product().await?;
        hub.take();
        member.take();
        stage.start_product("15").await?;
        "a restart"
    };
    tokio::time::sleep(Duration::from_secs(5)).await;
    for (name, writes) in [("member", member.take()), ("hub", hub.take())] {
        let what = format!("writes on the {name} after {after}");
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
    let what = format!("first push after {after} → live");
    rows.add_time(&what, end - start, Goal::None, "");
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
