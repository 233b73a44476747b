//! A million random steps of a small archive: whatever happens in whatever order, nothing held goes. The passes, the rules, the
//! choice of a volume and the pins are the real ones; index and disk are a model that knows which bytes are held.
//!
//! `ZHENBEI_HOLD_STEPS` says how many steps (`make test-holds`: a million), `ZHENBEI_HOLD_SEED` repeats a run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::FutureExt;

use super::pass::{Pass, Shelf};
use super::pins::{Pinned, Pins};
use super::rules::{Budget, Rules};
use crate::archive::volume::{Folder, Volume};
use crate::archive::volumes::{State, Volumes};
use crate::config::{ArchiveConfig, RetentionConfig, VolumeConfig};
use crate::model::{
    CameraId, Fragment, Result, Segment, SegmentId, StreamKey, TimeRange, UtcMicros, split_path,
};
use crate::store::database::{Burial, FragmentRow, Hold, SegmentPart, SegmentRow, Tombstone};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
const CAMERAS: usize = 4;
const HEAD: u32 = 1_000;

/// xorshift64*: enough for a test, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }
}

struct World {
    dice: Dice,
    now: UtcMicros,
    keys: Vec<StreamKey>,
    next_seq: Vec<i64>,
    /// By stream and first sequence number.
    files: BTreeMap<(usize, i64), SegmentPart>,
    place: HashMap<SegmentId, (usize, i64)>,
    holds: Vec<Hold>,
    named: u64,
    /// How many holds need a fragment that was there when they came.
    needed: HashMap<(usize, i64), u32>,
    needs: HashMap<String, Vec<(usize, i64)>>,
    /// Bytes on each disk that are not ours.
    foreign: HashMap<String, u64>,
    pinned: HashSet<SegmentId>,
    /// Buried, their bytes not given back: the crash came first.
    undone: Vec<Tombstone>,
    /// The next burial is followed by a crash.
    crash: bool,
    gone: u64,
    punched: u64,
}

const DISK: u64 = 4_000_000;

impl World {
    fn new(seed: u64) -> Self {
        let key = |i| StreamKey::main(CameraId::new(&format!("cam-{i}")).unwrap());
        Self {
            dice: Dice(seed | 1),
            now: UtcMicros(1_000 * DAY),
            keys: (0..CAMERAS).map(key).collect(),
            next_seq: vec![1; CAMERAS],
            files: BTreeMap::new(),
            place: HashMap::new(),
            holds: Vec::new(),
            named: 0,
            needed: HashMap::new(),
            needs: HashMap::new(),
            foreign: HashMap::new(),
            pinned: HashSet::new(),
            undone: Vec::new(),
            crash: false,
            gone: 0,
            punched: 0,
        }
    }

    fn on<'a>(&'a self, volume: &'a str) -> impl Iterator<Item = &'a SegmentPart> {
        let here = move |p: &&SegmentPart| p.row.segment.volume() == volume;
        self.files.values().filter(here)
    }

    fn total(&self, volume: &str) -> u64 {
        self.on(volume).map(|p| p.row.kept_bytes()).sum()
    }

    fn free(&self, volume: &str) -> u64 {
        let foreign = self.foreign.get(volume).copied().unwrap_or(0);
        DISK.saturating_sub(foreign + self.total(volume))
    }

    /// A fragment of the stream, in its open file or in a new one.
    fn record(&mut self, i: usize, prefix: &str) {
        let key = self.dice.chance(60);
        let len = 2_000 + u32::try_from(self.dice.roll(30_000)).unwrap();
        let gap = i64::from(self.dice.chance(5)) * SECOND * 7;
        let last = self.files.range((i, i64::MIN)..=(i, i64::MAX)).next_back();
        let open = last.filter(|(_, p)| !p.row.closed).map(|(k, _)| *k);
        let ended = last.map_or(self.now, |(_, p)| p.row.ended).max(self.now);
        let from = ended + gap;
        let range = TimeRange {
            from,
            to: from + SECOND,
        };
        self.now = range.to;
        let seq = self.next_seq[i];
        self.next_seq[i] += 1;
        // Mostly at a key frame, at times without one; and always when the stream changes volumes.
        let changes = if key { 30 } else { 4 };
        let turn = self.dice.chance(changes);
        let at = open.filter(|at| {
            let row = &mut self.files.get_mut(at).unwrap().row;
            let stays = !turn && row.segment.path.starts_with(prefix);
            let stays = stays && (!prefix.is_empty() || !row.segment.path.starts_with('@'));
            row.closed = !stays;
            stays
        });
        let at = at.unwrap_or_else(|| {
            let id = SegmentId::generate();
            let row = SegmentRow {
                segment: Segment {
                    id,
                    stream: self.keys[i].clone(),
                    path: format!("{prefix}{}/main/{seq}.mp4", self.keys[i].camera),
                    started: range.from,
                    init_len: HEAD,
                },
                first_seq: seq,
                ended: range.from,
                bytes: u64::from(HEAD),
                freed: 0,
                whole: true,
                closed: false,
                params: "".into(),
            };
            self.place.insert(id, (i, seq));
            let part = SegmentPart {
                row,
                fragments: Vec::new(),
            };
            self.files.insert((i, seq), part);
            (i, seq)
        });
        let part = self.files.get_mut(&at).unwrap();
        let fragment = Fragment {
            segment: part.row.segment.id,
            seq,
            range,
            offset: part.row.bytes,
            len,
            sha256: [u8::try_from(seq % 251).unwrap(); 32],
            packets_lost: 0,
            clock: crate::model::FragmentClock::default(),
            samples: Vec::new(),
        };
        part.row.bytes += u64::from(len);
        part.row.ended = range.to;
        part.fragments.push(FragmentRow { fragment, key });
        let mine = |h: &&Hold| h.stream == self.keys[i] && h.range.overlaps(&range);
        let held: Vec<Hold> = self.holds.iter().filter(mine).cloned().collect();
        for hold in held {
            self.need(i, &hold, range);
        }
    }

    /// Notes what the pictures of `range` need, of what is there: found by walking back, not as retention finds it.
    fn need(&mut self, i: usize, hold: &Hold, range: TimeRange) {
        let mine = self.files.range((i, i64::MIN)..=(i, i64::MAX));
        let all: Vec<(i64, bool, TimeRange)> = mine
            .flat_map(|(_, p)| &p.fragments)
            .map(|f| (f.fragment.seq, f.key, f.fragment.range))
            .collect();
        let list = self.needs.entry(hold.id.clone()).or_default();
        let mut known: HashSet<i64> = list.iter().map(|(_, seq)| *seq).collect();
        for (n, (seq, key, at)) in all.iter().enumerate() {
            if !at.overlaps(&range) {
                continue;
            }
            let mut wanted = vec![*seq];
            let mut is_key = *key;
            for (before, key, _) in all[..n].iter().rev() {
                if is_key || before + 1 != *wanted.last().unwrap() {
                    break;
                }
                wanted.push(*before);
                is_key = *key;
            }
            for seq in wanted {
                if known.insert(seq) {
                    list.push((i, seq));
                    *self.needed.entry((i, seq)).or_insert(0) += 1;
                }
            }
        }
    }

    fn hold(&mut self) {
        let i = usize::try_from(self.dice.roll(CAMERAS as u64)).unwrap();
        // Around a moment that is recorded, or is about to be.
        let mine = self.files.range((i, i64::MIN)..=(i, i64::MAX));
        let starts: Vec<UtcMicros> = mine.map(|(_, p)| p.row.segment.started).collect();
        let n = usize::try_from(self.dice.roll(starts.len() as u64 + 1)).unwrap();
        let near = starts.get(n).copied().unwrap_or(self.now);
        let spread = 30 * SECOND.unsigned_abs();
        let from = near + (i64::try_from(self.dice.roll(spread)).unwrap() - 5 * SECOND);
        let len =
            [1, SECOND / 25, 3 * SECOND, 40 * SECOND][usize::try_from(self.dice.roll(4)).unwrap()];
        self.named += 1;
        let hold = Hold {
            id: format!("hold-{}", self.named),
            stream: self.keys[i].clone(),
            range: TimeRange {
                from,
                to: from + len,
            },
            reason: "case".into(),
            created_at: self.now,
        };
        self.holds.push(hold.clone());
        self.need(i, &hold, hold.range);
    }

    fn lift(&mut self) {
        if self.holds.is_empty() {
            return;
        }
        let n = self.dice.roll(self.holds.len() as u64);
        let hold = self.holds.swap_remove(usize::try_from(n).unwrap());
        for at in self.needs.remove(&hold.id).unwrap_or_default() {
            let n = self.needed.get_mut(&at).unwrap();
            *n -= 1;
            if *n == 0 {
                self.needed.remove(&at);
            }
        }
    }

    fn is_needed(&self, i: usize, seq: i64) -> bool {
        self.needed.contains_key(&(i, seq))
    }

    /// The disk does what a tombstone says. No byte of a needed fragment may be under it.
    fn give_back(&self, t: &Tombstone) {
        let i = self.keys.iter().position(|k| *k == t.stream).unwrap();
        let Some(at) = self.place.get(&t.segment) else {
            return;
        };
        let Some(part) = self.files.get(at) else {
            return;
        };
        for f in &part.fragments {
            let f = &f.fragment;
            let under =
                f.offset < t.byte_from + t.bytes && f.offset + u64::from(f.len) > t.byte_from;
            assert!(
                !(t.in_part && under),
                "a hole over the fragment {} that is still in the index",
                f.seq
            );
            assert!(
                t.in_part || !self.is_needed(i, f.seq),
                "held bytes go with their file: {t:?}"
            );
        }
    }

    fn bury(&mut self, burials: Vec<Burial>) -> Vec<SegmentId> {
        let mut buried = Vec::new();
        for b in burials {
            let (first, _) = &b.runs[0];
            let i = self.keys.iter().position(|k| *k == first.stream).unwrap();
            let at = (i, b.first_seq);
            assert!(!self.pinned.contains(&first.segment), "it is being read");
            let part = self.files.get_mut(&at).expect("a file is buried once");
            assert!(
                part.row.closed,
                "nothing is taken from a file being written"
            );
            assert_eq!(part.row.segment.id, first.segment);
            let inside = |seq: i64| {
                b.runs
                    .iter()
                    .any(|(t, _)| (t.first_seq..=t.last_seq).contains(&seq))
            };
            let going: Vec<Fragment> = part
                .fragments
                .iter()
                .filter(|f| inside(f.fragment.seq))
                .map(|f| f.fragment.clone())
                .collect();
            part.fragments.retain(|f| !inside(f.fragment.seq));
            let bytes: u64 = b.runs.iter().map(|(t, _)| t.bytes).sum();
            let head = if first.in_part { 0 } else { u64::from(HEAD) };
            let lens: u64 = going.iter().map(|f| u64::from(f.len)).sum();
            assert_eq!(bytes, lens + head, "tombstones tell what goes: {b:?}");
            for f in &going {
                assert!(
                    !self.needed.contains_key(&(i, f.seq)),
                    "a held fragment goes: {} of {}, {b:?}, {:?}",
                    f.seq,
                    self.keys[i],
                    self.holds
                );
            }
            if first.in_part {
                let part = self.files.get_mut(&at).unwrap();
                assert!(!part.fragments.is_empty(), "a part is not all");
                part.row.freed += lens;
                part.row.whole = false;
                self.punched += 1;
            } else {
                let part = self.files.get(&at).unwrap();
                assert!(part.fragments.is_empty(), "the runs are all of it");
                self.gone += 1;
            }
            for (t, _) in &b.runs {
                let last = going.iter().find(|f| f.seq == t.last_seq).unwrap();
                assert_eq!(t.last_sha256, last.sha256, "the chain can be followed");
                if self.crash {
                    self.undone.push(t.clone());
                } else {
                    self.give_back(t);
                }
            }
            if !first.in_part {
                self.files.remove(&at);
            }
            buried.push(first.segment);
        }
        buried
    }
}

/// One volume of the model.
struct On<'a> {
    world: &'a Mutex<World>,
    volume: &'a str,
}

impl On<'_> {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
}

impl Shelf for On<'_> {
    async fn streams(&self) -> Result<Vec<StreamKey>> {
        Ok(self.world().keys.clone())
    }

    async fn oldest(
        &self,
        stream: Option<&StreamKey>,
        after: (UtcMicros, String),
        limit: usize,
    ) -> Result<Vec<SegmentRow>> {
        let world = self.world();
        let wanted = |r: &&SegmentRow| {
            let place = (r.segment.started, r.segment.id.to_string());
            r.closed && stream.is_none_or(|s| *s == r.segment.stream) && place > after
        };
        let rows = world.on(self.volume).map(|p| &p.row);
        let mut rows: Vec<SegmentRow> = rows.filter(wanted).cloned().collect();
        rows.sort_by_key(|r| (r.segment.started, r.segment.id.to_string()));
        rows.truncate(limit);
        Ok(rows)
    }

    async fn part(&self, id: SegmentId) -> Result<Option<SegmentPart>> {
        let world = self.world();
        let at = world.place.get(&id);
        Ok(at.and_then(|at| world.files.get(at)).cloned())
    }

    async fn next(&self, stream: &StreamKey, at: UtcMicros) -> Result<Option<SegmentPart>> {
        let world = self.world();
        let mine =
            |p: &&SegmentPart| p.row.segment.stream == *stream && p.row.segment.started >= at;
        Ok(world
            .files
            .values()
            .filter(mine)
            .min_by_key(|p| p.row.segment.started)
            .cloned())
    }

    async fn holds(&self) -> Result<Vec<Hold>> {
        Ok(self.world().holds.clone())
    }

    async fn bury(&self, burials: Vec<Burial>) -> Result<Vec<SegmentId>> {
        Ok(self.world().bury(burials))
    }
}

fn config() -> ArchiveConfig {
    let volume = |name: &str, cameras: &[&str]| VolumeConfig {
        name: name.into(),
        dir: format!("/nowhere/{name}").into(),
        cameras: cameras.iter().map(|c| (*c).to_owned()).collect(),
        max_bytes: 900_000,
        ..VolumeConfig::default()
    };
    ArchiveConfig {
        retention_days: 2.0,
        min_free_bytes: 1_000_000,
        volumes: vec![volume("a", &["cam-0", "cam-1"]), volume("b", &["cam-2"])],
        retention: vec![
            RetentionConfig {
                class: "short".into(),
                cameras: vec!["cam-1".into()],
                days: 0.5,
                max_bytes: 0,
            },
            RetentionConfig {
                class: "small".into(),
                cameras: vec!["cam-2".into()],
                days: 0.0,
                max_bytes: 400_000,
            },
        ],
        ..ArchiveConfig::default()
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn no_path_deletes_held_data() {
    let steps = number("ZHENBEI_HOLD_STEPS", 20_000);
    let seed = number("ZHENBEI_HOLD_SEED", 0x5EED_2026);
    let config = config();
    let rules = Rules::new(&config);
    let make =
        |_: &str, dir: &Path| -> Arc<dyn Volume> { Arc::new(Folder::new(dir.to_path_buf())) };
    let volumes = Volumes::new(&config, "/nowhere".into(), &make);
    for mount in volumes.all() {
        mount.set_state(State::Up);
    }
    let world = Mutex::new(World::new(seed));
    let mut pins: Arc<Pins> = Arc::default();
    let mut reading: Vec<Pinned> = Vec::new();
    let mut done = [0u64; 10];
    let begun = std::time::Instant::now();
    for step in 0..steps {
        let mut w = world.lock().unwrap();
        if step % 50_000 == 0 {
            check(&w);
        }
        let dice = w.dice.roll(100);
        let kind = match dice {
            0..=54 => {
                let i = usize::try_from(w.dice.roll(CAMERAS as u64)).unwrap();
                let seat = &volumes.all()[volumes.seat(&w.keys[i])];
                if seat.state() == State::Up {
                    w.record(i, &seat.prefix());
                }
                0
            }
            55..=59 => {
                w.hold();
                1
            }
            60..=63 => {
                w.lift();
                2
            }
            64..=70 => {
                let us = [SECOND, 600 * SECOND, DAY / 4][usize::try_from(w.dice.roll(3)).unwrap()];
                w.now = w.now + us;
                3
            }
            71..=74 => {
                let n = w.dice.roll(DISK);
                let name = ["", "a", "b"][usize::try_from(w.dice.roll(3)).unwrap()];
                w.foreign.insert(name.into(), n);
                4
            }
            75..=78 => {
                let n = usize::try_from(w.dice.roll(3)).unwrap();
                let state = [State::Up, State::Lost, State::ReadOnly]
                    [usize::try_from(w.dice.roll(3)).unwrap()];
                volumes.all()[n].set_state(state);
                5
            }
            79..=82 => {
                if w.dice.chance(50) || w.files.is_empty() {
                    reading.clear();
                    w.pinned.clear();
                } else {
                    let files = w.files.len() as u64;
                    let n = usize::try_from(w.dice.roll(files)).unwrap();
                    let id = w.files.values().nth(n).unwrap().row.segment.id;
                    reading.push(pins.pin(vec![id]).expect("nothing is being deleted now"));
                    w.pinned.insert(id);
                }
                6
            }
            83..=84 => {
                // A restart: open files are closed, unfinished deletions finished, nobody reads any more.
                for part in w.files.values_mut() {
                    part.row.closed = true;
                }
                reading.clear();
                w.pinned.clear();
                pins = Arc::default();
                w.crash = false;
                let undone = std::mem::take(&mut w.undone);
                for t in &undone {
                    w.give_back(t);
                }
                7
            }
            _ => {
                w.crash = w.dice.chance(3);
                let can_punch = w.dice.chance(85);
                drop(w);
                for mount in volumes.all() {
                    if mount.state() == State::Lost {
                        continue;
                    }
                    pass(
                        &world,
                        &rules,
                        &pins,
                        &mount.name,
                        mount.max_bytes,
                        mount.min_free_bytes,
                        can_punch,
                    );
                }
                8
            }
        };
        done[kind] += 1;
    }
    let w = world.lock().unwrap();
    check(&w);
    println!(
        "{steps} steps in {:.1} s: {} files deleted, {} given back in part, {} holds put, {} fragments held now; kinds {done:?}",
        begun.elapsed().as_secs_f64(),
        w.gone,
        w.punched,
        w.named,
        w.needed.len()
    );
    assert!(
        w.gone * 200 > steps && w.punched * 1_000 > steps,
        "the run tried something"
    );
}

fn pass(
    world: &Mutex<World>,
    rules: &Rules,
    pins: &Arc<Pins>,
    volume: &str,
    max_bytes: u64,
    min_free: u64,
    can_punch: bool,
) {
    let shelf = On { world, volume };
    let (now, budget, used) = {
        let w = shelf.world();
        let budget = Budget {
            total: w.total(volume),
            free: w.free(volume),
            max_bytes,
            min_free,
        };
        let mut used: HashMap<StreamKey, u64> = HashMap::new();
        for p in w.files.values() {
            *used.entry(p.row.segment.stream.clone()).or_default() += p.row.kept_bytes();
        }
        (w.now, budget, used)
    };
    let mut pass = Pass::new(&shelf, rules, pins, now, can_punch, budget);
    pass.excess = vec![0; rules.classes.len()];
    for (stream, bytes) in used {
        if let Some(i) = rules.class_of(&stream, None) {
            let max = rules.classes[i].max_bytes;
            pass.excess[i] += if max > 0 {
                bytes.saturating_sub(max)
            } else {
                0
            };
            pass.class_of.insert(stream, i);
        }
    }
    pass.run()
        .now_or_never()
        .expect("the model never waits")
        .unwrap();
    let after = pass.budget;
    drop(pass);
    let w = shelf.world();
    assert_eq!(after.total, w.total(volume), "it knows what it gave back");
    let over = max_bytes > 0 && after.total > max_bytes;
    if over && w.holds.is_empty() && w.pinned.is_empty() {
        assert!(w.on(volume).all(|p| !p.row.closed), "what may go has gone");
    }
}

/// All that is held is still there.
fn check(w: &World) {
    let mut there: HashSet<(usize, i64)> = HashSet::new();
    for ((i, _), part) in &w.files {
        there.extend(part.fragments.iter().map(|f| (*i, f.fragment.seq)));
        assert!(split_path(&part.row.segment.path).1.starts_with("cam-"));
    }
    for at in w.needed.keys() {
        assert!(there.contains(at), "held and gone: {at:?}");
    }
}
