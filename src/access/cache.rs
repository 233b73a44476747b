//! Who stands behind a session or token, remembered for a second: a page makes many calls at once.
//!
//! What is revoked here is forgotten at once; what another node revokes is noticed within [`FRESH_US`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Actor, Via};
use crate::model::{SessionId, TokenId, UserId, UtcMicros};

const FRESH_US: i64 = 1_000_000;
const MOST: usize = 4_096;

#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<[u8; 32], (UtcMicros, Actor)>>);

impl Cache {
    pub(super) fn get(&self, key: &[u8; 32], now: UtcMicros) -> Option<Actor> {
        self.lock()
            .get(key)
            .filter(|(at, _)| is_fresh(*at, now))
            .map(|(_, a)| a.clone())
    }

    pub(super) fn put(&self, key: [u8; 32], actor: Actor, now: UtcMicros) {
        let mut held = self.lock();
        if held.len() >= MOST {
            held.retain(|_, (at, _)| is_fresh(*at, now));
        }
        if held.len() < MOST {
            held.insert(key, (now, actor));
        }
    }

    pub(super) fn forget_user(&self, user: UserId) {
        self.lock().retain(|_, (_, a)| a.user != Some(user));
    }

    pub(super) fn forget_session(&self, session: SessionId) {
        self.lock()
            .retain(|_, (_, a)| !matches!(a.via, Via::Session { id, .. } if id == session));
    }

    pub(super) fn forget_token(&self, token: TokenId) {
        self.lock()
            .retain(|_, (_, a)| !matches!(a.via, Via::Token { id, .. } if id == token));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (UtcMicros, Actor)>> {
        // A panic while holding the lock leaves a whole map: every change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that was set back makes nothing fresh.
fn is_fresh(at: UtcMicros, now: UtcMicros) -> bool {
    (0..FRESH_US).contains(&now.micros_since(at))
}
