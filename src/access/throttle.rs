//! A growing wait after failed sign-ins, for each name from each address, and a budget of failures for each address whatever the
//! names.
//!
//! Kept in memory and bounded: a restart forgives, a flood of names cannot fill the box.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::model::{Error, ErrorKind, Result, UtcMicros};
use crate::telemetry::SayOncePerSecond;

/// Mistyping is human.
const FREE: u32 = 5;
const LONGEST_S: i64 = 300;
/// After this long without an attempt all is forgiven.
const FORGET_S: i64 = 15 * 60;
const MOST: usize = 10_000;

type Key = (String, Option<IpAddr>);

/// Failures that an address may have at once: a whole hall of people may sit behind one…
const BUDGET: i64 = 50;
/// …and how long until one more is allowed. Each failure is a line in the log and a tenth of a second of a core.
const REFILL_US: i64 = 2_000_000;
/// Addresses that are named when they are held off; more share one line.
const NAMED: usize = 100;

pub(super) struct Throttle(Mutex<Held>);

struct Held {
    names: HashMap<Key, Failures>,
    /// When the budget of an address will be whole again.
    addresses: HashMap<Option<IpAddr>, UtcMicros>,
    say: SayOncePerSecond<Option<IpAddr>>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self(Mutex::new(Held {
            names: HashMap::new(),
            addresses: HashMap::new(),
            say: SayOncePerSecond::new(NAMED),
        }))
    }
}

/// One customer has a whole /64 of IPv6 addresses (RFC 6177).
fn network(client: Option<IpAddr>) -> Option<IpAddr> {
    client.map(|c| match c.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    })
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: UtcMicros,
    wait_until: UtcMicros,
}

impl Throttle {
    /// Counts the attempt as failed until [`Self::passed`] says otherwise, so that attempts side by side gain nothing. Who is held
    /// off is counted and said once a second, not written into the audit log each time.
    pub(super) fn enter(&self, name: &str, client: Option<IpAddr>, now: UtcMicros) -> Result<()> {
        let mut held = self.lock();
        let entered = held.enter(name, client, now);
        let at = Instant::now();
        let mut said = held.say.due(at);
        if entered.is_err()
            && let Some(count) = held.say.hear(&client, at)
        {
            said.push((Some(client), count));
        }
        drop(held);
        for (client, count) in said {
            let client = match client {
                Some(Some(address)) => address.to_string(),
                Some(None) => "unknown".to_owned(),
                None => "others".to_owned(),
            };
            tracing::warn!(client, count, "sign-ins held off after too many failures");
        }
        entered
    }

    pub(super) fn passed(&self, name: &str, client: Option<IpAddr>) {
        let mut held = self.lock();
        held.names.remove(&(name.to_owned(), client));
        if let Some(whole_at) = held.addresses.get_mut(&network(client)) {
            *whole_at = *whole_at + -REFILL_US;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn enter(&mut self, name: &str, client: Option<IpAddr>, now: UtcMicros) -> Result<()> {
        let key = (name.to_owned(), client);
        if let Some(f) = self.names.get(&key)
            && now < f.wait_until
        {
            return Err(held_off(
                &format!("as `{name}` from here"),
                f.wait_until,
                now,
            ));
        }
        let whole_at = self.address(network(client), now)?;
        self.addresses.insert(network(client), whole_at);
        self.count(key, now);
        Ok(())
    }

    /// When the budget is whole again with one failure more; an error when there is none left.
    fn address(&mut self, network: Option<IpAddr>, now: UtcMicros) -> Result<UtcMicros> {
        if self.addresses.len() >= MOST && !self.addresses.contains_key(&network) {
            self.addresses.retain(|_, whole_at| *whole_at > now);
            // Still full: who is nearest to forgiveness is forgiven.
            if self.addresses.len() >= MOST
                && let Some(least) = self
                    .addresses
                    .iter()
                    .min_by_key(|(_, w)| **w)
                    .map(|(k, _)| *k)
            {
                self.addresses.remove(&least);
            }
        }
        // A clock that was set back must not lock anybody out for long.
        let (most, held) = (now + BUDGET * REFILL_US, self.addresses.get(&network));
        let whole_at = held.copied().unwrap_or(now).clamp(now, most) + REFILL_US;
        let free_at = whole_at + -(BUDGET * REFILL_US);
        if free_at > now {
            return Err(held_off("from this address", free_at, now));
        }
        Ok(whole_at)
    }

    fn count(&mut self, key: Key, now: UtcMicros) {
        let held = &mut self.names;
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
    }
}

fn held_off(whom: &str, until: UtcMicros, now: UtcMicros) -> Error {
    let seconds = until.micros_since(now).div_euclid(1_000_000) + 1;
    Error::new(
        ErrorKind::TooMuch,
        "too_many_attempts",
        format!("too many failed sign-ins {whom}; try again in {seconds} s"),
    )
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
            while t.0.lock().unwrap().names[&("li".into(), None)].wait_until > at(now + wait) {
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
            t.enter("wang", None, at(now)).is_ok(),
            "others are not held up"
        );
        t.passed("li", None);
        assert!(t.enter("li", None, at(now)).is_ok());
    }

    fn address(n: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(n.into()))
    }

    #[test]
    fn an_address_has_a_budget_whatever_the_names() {
        let t = Throttle::default();
        let budget = u32::try_from(BUDGET).unwrap();
        for n in 0..budget {
            t.enter(&format!("n{n}"), address(1), at(0)).unwrap();
        }
        assert!(t.enter("li", address(1), at(0)).is_err(), "used up");
        assert!(t.enter("li", address(2), at(0)).is_ok(), "another address");
        assert!(t.enter("li", address(1), at(2)).is_ok(), "one more in 2 s");
        assert!(t.enter("wang", address(1), at(2)).is_err());
        // Who passes has used nothing up: a hall of people may sign in behind one address.
        for n in 0..10 * budget {
            let name = format!("m{n}");
            t.enter(&name, address(3), at(3)).unwrap();
            t.passed(&name, address(3));
        }
        let v6 = |text: &str| Some(text.parse().unwrap());
        for n in 0..budget {
            t.enter("x", v6(&format!("2001:db8::{n}")), at(4)).unwrap();
        }
        assert!(t.enter("y", v6("2001:db8::ffff:1"), at(4)).is_err());
        assert!(t.enter("y", v6("2001:db8:0:1::1"), at(4)).is_ok());
    }

    #[test]
    fn a_flood_of_names_and_addresses_does_not_grow_the_lists() {
        let t = Throttle::default();
        for n in 0..u32::try_from(MOST).unwrap() + 50 {
            t.enter(&format!("n{n}"), address(n), at(0)).unwrap();
        }
        let held = t.0.lock().unwrap();
        assert!(held.names.len() <= MOST && held.addresses.len() <= MOST);
    }
}
