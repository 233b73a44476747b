//! Count, then say once a second.
//!
//! A broken vehicle sends a bad message ten times a second for a week. Each is counted; the log gets one line a second with how
//! many it stands for.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(1);

/// One limiter for a kind of message; `K` tells its sources apart. Has no clock: the caller brings the time.
#[derive(Debug)]
pub struct SayOncePerSecond<K> {
    sources: HashMap<K, Source>,
    /// Sources beyond this share one entry, so that a flood of names cannot fill the memory.
    most: usize,
    others: Option<Source>,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    said: Instant,
    unsaid: u64,
}

impl Source {
    fn hear(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        self.due(now)
    }

    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.unsaid == 0 || now.saturating_duration_since(self.said) < INTERVAL {
            return None;
        }
        self.said = now;
        Some(std::mem::take(&mut self.unsaid))
    }
}

impl<K: Eq + Hash + Clone> SayOncePerSecond<K> {
    pub fn new(most: usize) -> Self {
        Self {
            sources: HashMap::new(),
            most: most.max(1),
            others: None,
        }
    }

    /// It happened once. `Some(n)` means: say it now, it stands for `n` times since it was last said.
    pub fn hear(&mut self, key: &K, now: Instant) -> Option<u64> {
        if let Some(source) = self.sources.get_mut(key) {
            return source.hear(now);
        }
        if self.sources.len() >= self.most {
            self.forget_quiet(now);
        }
        let first = Source {
            said: now,
            unsaid: 0,
        };
        if self.sources.len() < self.most {
            self.sources.insert(key.clone(), first);
            return Some(1);
        }
        match &mut self.others {
            Some(others) => others.hear(now),
            None => {
                self.others = Some(first);
                Some(1)
            }
        }
    }

    /// What was heard after it was last said and is due now: for a tick, so that the end of a burst is not lost.
    pub fn due(&mut self, now: Instant) -> Vec<(Option<K>, u64)> {
        let named = self.sources.iter_mut();
        let mut due: Vec<_> = named
            .filter_map(|(k, s)| Some((Some(k.clone()), s.due(now)?)))
            .collect();
        due.extend(self.others.as_mut().and_then(|s| Some((None, s.due(now)?))));
        due
    }

    fn forget_quiet(&mut self, now: Instant) {
        let quiet = |s: &Source| s.unsaid == 0 && now.saturating_duration_since(s.said) >= INTERVAL;
        self.sources.retain(|_, s| !quiet(s));
        if self.others.as_ref().is_some_and(quiet) {
            self.others = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn the_first_is_said_at_once_and_the_rest_once_a_second() {
        let t = Instant::now();
        let mut say = SayOncePerSecond::new(10);
        assert_eq!(say.hear(&"a", t), Some(1));
        assert_eq!(say.hear(&"a", after(t, 100)), None);
        assert_eq!(say.hear(&"a", after(t, 999)), None);
        assert_eq!(say.hear(&"a", after(t, 1000)), Some(3));
        assert_eq!(say.hear(&"a", after(t, 1001)), None);
    }

    #[test]
    fn sources_do_not_silence_each_other() {
        let t = Instant::now();
        let mut say = SayOncePerSecond::new(10);
        assert_eq!(say.hear(&"a", t), Some(1));
        assert_eq!(say.hear(&"b", t), Some(1));
    }

    #[test]
    fn the_end_of_a_burst_is_said_by_the_tick() {
        let t = Instant::now();
        let mut say = SayOncePerSecond::new(10);
        say.hear(&"a", t);
        say.hear(&"a", after(t, 10));
        assert_eq!(say.due(after(t, 500)), vec![]);
        assert_eq!(say.due(after(t, 1000)), vec![(Some("a"), 1)]);
        assert_eq!(say.due(after(t, 3000)), vec![]);
    }

    #[test]
    fn a_flood_of_names_shares_one_entry() {
        let t = Instant::now();
        let mut say = SayOncePerSecond::new(2);
        let said = (0..1000).filter(|n| say.hear(n, t).is_some()).count();
        assert_eq!(said, 3, "two by name, one for all others");
        assert_eq!(say.sources.len(), 2);
        assert_eq!(say.due(after(t, 1000)), vec![(None, 997)]);
    }

    #[test]
    fn quiet_sources_make_room() {
        let t = Instant::now();
        let mut say = SayOncePerSecond::new(2);
        say.hear(&1, t);
        say.hear(&2, t);
        assert_eq!(say.hear(&3, after(t, 1500)), Some(1));
        assert_eq!(say.hear(&3, after(t, 1600)), None);
    }

    #[test]
    fn a_clock_that_steps_back_says_nothing_twice() {
        let t = after(Instant::now(), 5000);
        let mut say = SayOncePerSecond::new(2);
        assert_eq!(say.hear(&1, t), Some(1));
        assert_eq!(say.hear(&1, t - Duration::from_secs(3)), None);
    }
}
