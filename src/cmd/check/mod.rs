//! `zhenbei demo --check`: the main job, driven through the public interface only. One line a step; the first failure ends it.

mod client;
mod live;
mod steps;
mod tools;

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};

use client::Client;

/// Where the system under test is and who may sign in.
pub(super) struct Target<'a> {
    pub url: &'a str,
    pub user: &'a str,
    pub password: &'a str,
    /// For downloaded files.
    pub dir: &'a Path,
    pub cameras: usize,
    pub vehicles: usize,
}

/// Runs every step; an error names the step that failed.
pub(super) async fn run(target: &Target<'_>) -> Result<()> {
    let mut out = std::io::stdout();
    let started = Instant::now();
    let mut step = Step {
        number: 0,
        out: &mut out,
    };
    let client = step
        .run("sign in", Client::sign_in(target), |_| String::new())
        .await?;
    let cameras = step
        .run(
            "every camera sends pictures",
            steps::pictures(&client, target),
            |c| format!("{} cameras", c.len()),
        )
        .await?;
    step.run(
        "vehicles are on the map",
        steps::positions(&client, target),
        |n| format!("{n} vehicles with a fresh fix"),
    )
    .await?;
    step.run(
        "the live stream decodes",
        live::decodes(&client, target, &cameras.h264, "h264"),
        ToString::to_string,
    )
    .await?;
    step.run(
        "the H.265 camera is shown through the shared transcode",
        live::decodes(&client, target, &cameras.h265, "h265"),
        ToString::to_string,
    )
    .await?;
    step.run("events arrive", live::events(&client), ToString::to_string)
        .await?;
    let range = step
        .run(
            "20 s are recorded",
            steps::recorded(&client, &cameras.h264),
            |r| format!("{} – {}", r.from, r.to),
        )
        .await?;
    step.run(
        "a clip of the last 20 s plays",
        steps::clip(&client, target, &cameras.h264, range),
        ToString::to_string,
    )
    .await?;
    let case = step
        .run("a case is opened", steps::open_case(&client), |c| {
            c.no.clone()
        })
        .await?;
    let clip = step
        .run(
            "the clip is attached",
            steps::attach_clip(&client, &case, &cameras.h264, range),
            |x| x.id.clone(),
        )
        .await?;
    let track = step
        .run(
            "a vehicle's track is attached",
            steps::attach_track(&client, &case, range),
            |x| x.id.clone(),
        )
        .await?;
    step.run(
        "exhibits download with the right hash and length",
        steps::download(&client, target, &case, &clip, &track, range),
        ToString::to_string,
    )
    .await?;
    step.run(
        "the bundle checks with sha256sum",
        steps::bundle(&client, target, &case),
        ToString::to_string,
    )
    .await?;
    step.run(
        "every act is on the audit log",
        steps::audit(&client, &case),
        ToString::to_string,
    )
    .await?;
    writeln!(
        step.out,
        "all {} steps passed in {:.1} s",
        step.number,
        started.elapsed().as_secs_f64()
    )?;
    Ok(())
}

struct Step<'a> {
    number: u32,
    out: &'a mut std::io::Stdout,
}

impl Step<'_> {
    async fn run<T>(
        &mut self,
        name: &str,
        act: impl Future<Output = Result<T>>,
        describe: impl FnOnce(&T) -> String,
    ) -> Result<T> {
        self.number += 1;
        let started = Instant::now();
        let result = act.await;
        let seconds = started.elapsed().as_secs_f64();
        match &result {
            Ok(value) => writeln!(
                self.out,
                "{:>2} ok     {seconds:>6.2} s  {name}  {}",
                self.number,
                describe(value)
            )?,
            Err(e) => writeln!(
                self.out,
                "{:>2} FAILED {seconds:>6.2} s  {name}: {e:#}",
                self.number
            )?,
        }
        self.out.flush()?;
        result.with_context(|| format!("step {} ({name})", self.number))
    }
}
