//! Random days of a real archive on a real disk: recording, holding, lifting, ageing, retention, restarts, crashes. What is held
//! stays to the bit. (`make test-holds` does a million steps of the same on a model.)

use std::sync::Arc;

use sha2::{Digest, Sha256};
use zhenbei::model::{TimeRange, UtcMicros};
use zhenbei::store::database::Hold;

use crate::footage;
use crate::house::{House, SECOND, T0, access_units, config, key};

const STEPS: usize = 150;

/// xorshift64*
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

async fn pictures(house: &House, range: TimeRange) -> [u8; 32] {
    let mut hash = Sha256::new();
    for unit in access_units(&house.bytes(range).await) {
        hash.update(unit.len().to_be_bytes());
        hash.update(unit);
    }
    hash.finalize().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_stays_to_the_bit() {
    let mut config = config();
    config.segment_ms = 7_000;
    config.retention_days = 1.0;
    let f = footage::h264(60);
    let mut house = House::with(config, None).await;
    let mut dice = Dice(0xA11CE);
    let mut held: Vec<(Hold, [u8; 32])> = Vec::new();
    let mut played: Vec<TimeRange> = Vec::new();
    let (mut now, mut done, mut gone, mut parts) = (T0, 0, 0, 0);
    for step in 0..STEPS {
        match dice.roll(20) {
            0..=9 => {
                let from = dice.roll(55);
                #[allow(clippy::cast_precision_loss, reason = "seconds of footage")]
                let from = from as f64;
                let begin = now + SECOND;
                let end = house.play(&f, from, from + 4.0, begin);
                house.end(end, None);
                house.durable(end + -SECOND / 10).await;
                played.push(TimeRange {
                    from: begin,
                    to: end,
                });
                now = end;
            }
            10..=12 if !played.is_empty() => {
                let n = usize::try_from(dice.roll(played.len() as u64)).unwrap();
                let from = played[n].from + i64::try_from(dice.roll(3_000_000)).unwrap();
                let to = from + 40_000 + i64::try_from(dice.roll(900_000)).unwrap();
                let range = TimeRange { from, to };
                // Gone already, or its first second only: nothing to hold.
                if house.archive.coverage(&key(), range).await.unwrap().spans != [range] {
                    continue;
                }
                let hold = Hold {
                    id: format!("h{step}"),
                    stream: key(),
                    range,
                    reason: "case".into(),
                    created_at: now,
                };
                house.db.put_archive_hold(&hold).await.unwrap();
                let seen = pictures(&house, range).await;
                held.push((hold, seen));
            }
            13 if held.len() > 3 => {
                let n = usize::try_from(dice.roll(held.len() as u64)).unwrap();
                let (hold, _) = held.swap_remove(n);
                house.db.delete_archive_hold(&hold.id).await.unwrap();
            }
            14 | 15 => {
                now = now + i64::try_from(dice.roll(86_400)).unwrap() * SECOND;
                house.clock.set(now);
            }
            16..=18 => {
                gone += house.archive.tidy().await.unwrap();
                let ever = TimeRange {
                    from: T0,
                    to: UtcMicros::MAX,
                };
                let stones = house.db.archive_tombstones(&key(), ever).await.unwrap();
                parts = stones.iter().filter(|t| t.in_part).count();
            }
            _ => {
                if dice.roll(2) == 0 {
                    house.stop().await;
                    house = house.again(None, now).await;
                } else {
                    house = house.crash(now).await;
                }
            }
        }
        done += 1;
        for (hold, seen) in &held {
            let now = pictures(&house, hold.range).await;
            assert_eq!(now, *seen, "step {step}: {hold:?}");
        }
    }
    house.stop().await;
    let files = Arc::clone(&house.folder);
    println!(
        "{done} steps, {gone} files deleted, {parts} parts given back, {} held, {files:?}",
        held.len()
    );
    assert!(gone > 3 && parts > 3 && !held.is_empty(), "{gone} {parts}");
}
