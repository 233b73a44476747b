//! What the kernel says of processes: processor time and memory, each with all children.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Of a process and all its descendants, living or reaped.
pub(crate) fn cpu(pid: u32) -> Duration {
    let ticks: u64 = tree(pid)
        .iter()
        .filter_map(|p| stat(Path::new(&format!("/proc/{p}/stat"))))
        .map(|fields| {
            // utime, stime, and both of the children that were waited for (proc(5), fields 14 to 17).
            (11..15).map(|n| number(&fields, n)).sum::<u64>()
        })
        .sum();
    of_ticks(ticks)
}

/// Processor time of a process by the names of its threads, largest first.
pub(crate) fn cpu_by_thread(pid: u32) -> BTreeMap<String, Duration> {
    let mut all = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let name = name
            .trim()
            .trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        if let Some(fields) = stat(&task.path().join("stat")) {
            *all.entry(name.to_owned()).or_default() +=
                of_ticks(number(&fields, 11) + number(&fields, 12));
        }
    }
    all
}

/// Resident bytes of a process and its descendants.
pub(crate) fn rss(pid: u32) -> u64 {
    tree(pid)
        .iter()
        .filter_map(|p| fs::read_to_string(format!("/proc/{p}/status")).ok())
        .filter_map(|text| kib(&text, "VmRSS:"))
        .sum()
}

/// Bytes that programs can still have without swapping.
pub(crate) fn available_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kib(&text, "MemAvailable:").unwrap_or(0)
}

fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|l| l.starts_with(key))?;
    let n: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(n << 10)
}

fn of_ticks(ticks: u64) -> Duration {
    Duration::from_secs(ticks)
        / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100)
}

/// The fields behind the name, which may hold spaces.
fn stat(path: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(path).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn number(fields: &[String], n: usize) -> u64 {
    fields.get(n).and_then(|f| f.parse().ok()).unwrap_or(0)
}

fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| {
            let fields = stat(Path::new(&format!("/proc/{pid}/stat")))?;
            Some((pid, fields.get(1)?.parse().ok()?))
        })
        .collect();
    let mut tree = vec![root];
    let mut at = 0;
    while let Some(parent) = tree.get(at).copied() {
        tree.extend(
            parents
                .iter()
                .filter(|(_, p)| *p == parent)
                .map(|(c, _)| *c),
        );
        at += 1;
    }
    tree
}
