//! A growing wait after failed sign-ins, for each name from each address.
//!
//! Kept in memory and bounded: a restart forgives, a flood of names cannot fill the box.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::model::{Error, ErrorKind, Result, UtcMicros};

/// Mistyping is human.
const FREE: u32 = 5;
const LONGEST_S: i64 = 300;
/// After this long without an attempt all is forgiven.
const FORGET_S: i64 = 15 * 60;
const MOST: usize = 10_000;

type Key = (String, Option<IpAddr>);

#[derive(Default)]
pub(super) struct Throttle(Mutex<HashMap<Key, Failures>>);

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: UtcMicros,
    wait_until: UtcMicros,
}

impl Throttle {
    /// Counts the attempt as failed until [`Self::passed`] says otherwise, so that attempts side by side gain nothing.
    pub(super) fn enter(&self, name: &str, client: Option<IpAddr>, now: UtcMicros) -> Result<()> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), client);
        if let Some(f) = held.get(&key)
            && now < f.wait_until
        {
            let seconds = f.wait_until.micros_since(now).div_euclid(1_000_000) + 1;
            return Err(Error::new(
                ErrorKind::TooMuch,
                "too_many_attempts",
                format!("too many failed sign-ins as `{name}` from here; try again in {seconds} s"),
            ));
        }
        let old = |f: &Failures| now.micros_since(f.last) > FORGET_S * 1_000_000;
        if held.len() >= MOST && !held.contains_key(&key) {
            held.retain(|_, f| !old(f));
            if held.len() >= MOST
                && let Some(oldest) = held
                    .iter()
                    .min_by_key(|(_, f)| f.last)
                    .map(|(k, _)| k.clone())
            {
                held.remove(&oldest);
            }
        }
        let f = held.entry(key).or_insert(Failures {
            count: 0,
            last: now,
            wait_until: now,
        });
        if old(f) {
            f.count = 0;
        }
        f.count = f.count.saturating_add(1);
        f.last = now;
        if f.count >= FREE {
            let doubled = 1_i64 << (f.count - FREE).min(20);
            f.wait_until = now + doubled.min(LONGEST_S) * 1_000_000;
        }
        Ok(())
    }

    pub(super) fn passed(&self, name: &str, client: Option<IpAddr>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(&(name.to_owned(), client));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> UtcMicros {
        UtcMicros::from_secs(1_800_000_000 + s)
    }

    #[test]
    fn the_wait_doubles_to_five_minutes_and_ends() {
        let t = Throttle::default();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..16 {
            t.enter("li", None, at(now)).unwrap();
            let mut wait = 0;
            while t.0.lock().unwrap()[&("li".into(), None)].wait_until > at(now + wait) {
                wait += 1;
            }
            waits.push(wait);
            if wait > 0 {
                assert!(
                    t.enter("li", None, at(now + wait - 1)).is_err(),
                    "no attempt inside the wait"
                );
            }
            now += wait;
        }
        assert_eq!(
            waits,
            [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
        );
        assert!(
            t.enter("wang", None, at(0)).is_ok(),
            "others are not held up"
        );
        t.passed("li", None);
        assert!(t.enter("li", None, at(now)).is_ok());
    }

    #[test]
    fn a_flood_of_names_does_not_grow_the_list() {
        let t = Throttle::default();
        for n in 0..MOST + 50 {
            t.enter(&format!("n{n}"), None, at(0)).unwrap();
        }
        assert!(t.0.lock().unwrap().len() <= MOST);
    }
}
