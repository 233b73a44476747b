//! How long a player waits for the first byte of a ten-minute clip when the index holds a month of many cameras, and what a gigabyte
//! of clip costs beside `sendfile`. `make bench-clip` runs it; figures belong to one run on one machine (docs/testing.md).
//!
//! The daemon is the real one, asked over HTTP with a session, audit entries and all. Its index is made in bulk (`index`) and kept in
//! `target/bench-clip`, so that only the first run pays for it.
//!
//! `ZHENBEI_BENCH_CAMERAS` (200) and `ZHENBEI_BENCH_DAYS` (30) size the index, `ZHENBEI_BENCH_PICKS` (500) is the number of clips
//! asked for, `ZHENBEI_BENCH_GB` (2) what is downloaded for the second figure.
#![allow(unreachable_pub, reason = "a benchmark has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark that cannot run should say so at once"
)]

mod index;
mod price;
mod web;

use std::path::PathBuf;
use std::sync::Arc;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use zhenbei::app::Daemon;
use zhenbei::config;
use zhenbei::media::this_program;
use zhenbei::model::UtcMicros;
use zhenbei::telemetry::Numbers;

use index::{Plan, camera, minute};
use web::Client;

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |v| v.parse().expect("a number"))
}

fn main() {
    if price::drains() {
        return;
    }
    let plan = Plan {
        cameras: number("ZHENBEI_BENCH_CAMERAS", 200),
        days: number("ZHENBEI_BENCH_DAYS", 30),
        picks: number("ZHENBEI_BENCH_PICKS", 500),
    };
    let root = std::env::var("ZHENBEI_BENCH_DIR").map_or_else(
        |_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench-clip"),
        PathBuf::from,
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run(&plan, &root));
}

async fn run(plan: &Plan, root: &std::path::Path) {
    let dir = root.join(format!("{}x{}x{}", plan.cameras, plan.days, plan.picks));
    println!(
        "index: {} cameras x {} days = {} rows in {}",
        plan.cameras,
        plan.days,
        plan.rows(),
        dir.display()
    );
    let picks = index::ready(plan, &dir).await;
    let password = web::account(&dir).await;
    let file = dir.join("zhenbei.toml");
    let text = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n[data]\ndir = \"{}\"\n[archive]\nretention_days = 36500\nmin_free_bytes = 0\n\
         [log]\nfilter = \"off\"\n",
        dir.display()
    );
    std::fs::write(&file, text).unwrap();
    let loaded = config::load(&file).unwrap_or_else(|e| panic!("{e}"));
    let begun = std::time::Instant::now();
    let daemon = Daemon::start(
        Arc::new(loaded.config),
        this_program(),
        Numbers::start().unwrap(),
    )
    .await
    .unwrap();
    println!("daemon started in {:.1} s", begun.elapsed().as_secs_f64());
    let client = Client::sign_in(&daemon.url(), &password).await;

    // A few of its own first: connections to the database are made, code is in memory.
    let mut random = StdRng::seed_from_u64(7);
    for pick in picks.iter().take(5) {
        client.first_byte(&clip_path(pick, 1)).await;
    }
    let (mut cold, mut again, mut near) = (Vec::new(), Vec::new(), Vec::new());
    for pick in picks.iter().skip(5) {
        // Begins somewhere in the first minute: a plan is never found by chance.
        let shift = random.random_range(1_000..59_000_000);
        cold.push(client.first_byte(&clip_path(pick, shift)).await);
        again.push(client.first_byte(&clip_path(pick, shift)).await);
        near.push(client.first_byte(&clip_path(pick, shift + 500_000)).await);
    }
    println!(
        "first byte of a 10-minute clip, ms            p50      p99      max   (n = {})",
        cold.len()
    );
    row("cold: camera and time not asked for before", cold);
    row("neighbour: half a second later", near);
    row("warm: the same clip again", again);

    let price = price::measure(
        &client,
        &clip_path(&picks[0], 1),
        &dir,
        number("ZHENBEI_BENCH_GB", 2),
    )
    .await;
    println!(
        "served from the page cache, CPU s per GB: clip {:.3}, sendfile {:.3}, ratio {:.2}; wall s per GB: clip {:.3}, sendfile {:.3}",
        price.clip.cpu,
        price.sendfile.cpu,
        price.clip.cpu / price.sendfile.cpu,
        price.clip.wall,
        price.sendfile.wall
    );
    daemon.stop().await;
}

fn clip_path(pick: &(usize, usize), shift: i64) -> String {
    let from = UtcMicros(minute(pick.0, pick.1) + shift);
    let to = from + 600_000_000;
    let camera = camera(pick.0);
    format!("/api/v1/cameras/{camera}/clip.mp4?from={from}&to={to}")
}

fn row(name: &str, mut ms: Vec<f64>) {
    ms.sort_by(f64::total_cmp);
    let at = |q: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index"
        )]
        let i = ((ms.len() as f64 - 1.0) * q).round() as usize;
        ms[i]
    };
    println!(
        "{name:<44} {:>8.2} {:>8.2} {:>8.2}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
