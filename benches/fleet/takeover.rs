//! The end of a leader while another stands by.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::Arguments;
use crate::replicas::{Replica, Replicas};
use crate::rows::pause;
use crate::stage::{OBJECTS, Stage, application, manifest};
use crate::table::{Goal, Rows};

/// The running leader and standby; nothing runs in the stage's name then.
fn both(stage: &mut Stage) -> Result<(Replica, Replica)> {
    let running = stage.running.take().context("the product does not run")?;
    let Replicas { leader, standby } = running;
    Ok((leader, standby.context("no standby")?))
}

/// Ends the leader as a rollout does: it gives the lease back.
pub async fn handed_over(stage: &mut Stage, rows: &mut Rows) -> Result<()> {
    let (leader, standby) = both(stage)?;
    let start = Instant::now();
    leader.product.stop().await?;
    let ended = start.elapsed();
    let led = ended + stage.succeed(standby, "15").await?;
    let note = format!("the process ended after {} ms", ended.as_millis());
    let what = "SIGTERM to the leader → the standby leads";
    rows.add_time(what, led, Goal::None, &note);
    Ok(())
}

/// Kills the leader several times, each with a push that nobody hears of: its
/// webhook reaches the standby, which has no leader to hand it to.
pub async fn killed(stage: &mut Stage, rows: &mut Rows, arguments: &Arguments) -> Result<()> {
    let times = if arguments.quick { 2 } else { 5 };
    let (mut samples, mut heard) = (Vec::<Duration>::new(), 0);
    for number in 0..times {
        // Another moment between two renewals each time.
        pause(number * 3 + 1).await;
        let generation = format!("killed-{number}");
        let (leader, standby) = both(stage)?;
        let start = Instant::now();
        leader.product.kill()?;
        let commit = stage.push(&[manifest(&application(number * 11 + 4), &generation)])?;
        heard += usize::from(stage.announce_to(&standby, &commit).await.is_ok());
        let end = stage
            .watching
            .until("a push after the leader was killed", |state| {
                state.of(&generation) == OBJECTS
            })
            .await?;
        samples.push(end - start);
        stage.succeed(standby, "15").await?;
    }
    samples.sort();
    let (first, last) = (samples[0], samples[times - 1]);
    let note = format!(
        "longest of {times}, shortest {:.1} s; default lease times; {heard} of {times} webhooks, \
         sent at once to the standby, reached a leader",
        first.as_secs_f64()
    );
    let what = "leader killed (SIGKILL) → the next push is live";
    rows.add(what, last.as_secs_f64(), "s", Goal::AtMost(20.0), &note);
    Ok(())
}
