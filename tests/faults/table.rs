//! What the fault run says at its end.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Instant;

use crate::camera::{Camera, PICTURE};
use crate::judge::Verdict;

pub type Scene = Pin<Box<dyn Future<Output = Row> + Send>>;

/// One fault, over all cameras.
#[derive(Default)]
pub struct Row {
    pub cameras: usize,
    pub sent: usize,
    pub on_disk: usize,
    pub recorded: i64,
    pub gaps: BTreeMap<String, i64>,
    pub hurt: u64,
    pub worst_gap: i64,
    /// Of one stream by one kill, in µs.
    pub worst_loss: i64,
    pub files: usize,
    pub played: usize,
    pub note: String,
    pub wrong: Vec<String>,
}

impl Row {
    pub fn add(&mut self, camera: &Camera, v: &Verdict) {
        self.cameras += 1;
        self.sent += camera.sent().len();
        self.on_disk += v.on_disk.len();
        self.recorded += v.recorded;
        for (cause, us) in &v.gaps {
            *self.gaps.entry((*cause).to_owned()).or_default() += us;
        }
        self.hurt += v.hurt;
        self.files += v.files;
        self.worst_gap = self.worst_gap.max(v.worst_gap);
        let name = &camera.name;
        self.wrong
            .extend(v.wrong.iter().map(|w| format!("{name}: {w}")));
    }
}

#[derive(Default)]
pub struct Table {
    rows: Vec<(String, f64, Row)>,
}

impl Table {
    pub async fn run(&mut self, scenes: Vec<(String, Scene)>) {
        let one = |(name, scene): (String, Scene)| async move {
            let begun = Instant::now();
            let row = scene.await;
            (name, begun.elapsed().as_secs_f64(), row)
        };
        for row in futures_util::future::join_all(scenes.into_iter().map(one)).await {
            println!("{}", line(&row));
            for w in row.2.wrong.iter().take(20) {
                println!("    wrong: {w}");
            }
            self.rows.push(row);
        }
    }

    pub fn print(&self) {
        println!(
            "\n{:<34} {:>6} {:>4} {:>8} {:>8} {:>5} {:>8} {:>8} {:>7} {:>6} verdict; gaps in s by cause; note",
            "fault", "s", "cams", "sent", "on disk", "hurt", "gap off", "loss", "files", "played"
        );
        for row in &self.rows {
            println!("{}", line(row));
        }
    }

    /// Fails the test if anything was wrong.
    pub fn verdict(&self) {
        let wrong: Vec<String> = self
            .rows
            .iter()
            .flat_map(|(name, _, row)| row.wrong.iter().map(move |w| format!("{name}: {w}")))
            .collect();
        assert!(
            wrong.is_empty(),
            "{} wrong:\n{}",
            wrong.len(),
            wrong[..wrong.len().min(60)].join("\n")
        );
    }
}

fn line((name, seconds, row): &(String, f64, Row)) -> String {
    let gaps: Vec<String> = row
        .gaps
        .iter()
        .map(|(cause, us)| format!("{cause} {:.1}", seconds_of(*us)))
        .collect();
    let verdict = if row.wrong.is_empty() {
        "sound".to_owned()
    } else {
        format!("{} WRONG", row.wrong.len())
    };
    format!(
        "{name:<34} {seconds:>6.0} {:>4} {:>8} {:>8} {:>5} {:>6}ms {:>6.2} s {:>7} {:>6} {verdict}; {}; {}",
        row.cameras,
        row.sent,
        row.on_disk,
        row.hurt,
        row.worst_gap / 1_000,
        seconds_of(row.worst_loss),
        row.files,
        row.played,
        gaps.join(", "),
        row.note
    )
}

fn seconds_of(us: i64) -> f64 {
    let pictures = us as f64;
    pictures / 1e6
}

/// Most that one kill may cost one stream.
pub const MOST_LOST: i64 = 2_000_000 + PICTURE;
