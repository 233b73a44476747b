//! Who stands behind a session or token, remembered for a second: a page makes many calls at once.
//!
//! What is revoked here is forgotten at once; what another node revokes is noticed within [`FRESH`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Actor, Via};
use crate::model::{SessionId, TokenId, UserId};

const FRESH: Duration = Duration::from_secs(1);
const MOST: usize = 4_096;

#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<[u8; 32], (Instant, Actor)>>);

impl Cache {
    pub(super) fn get(&self, key: &[u8; 32]) -> Option<Actor> {
        self.lock()
            .get(key)
            .filter(|(at, _)| at.elapsed() < FRESH)
            .map(|(_, a)| a.clone())
    }

    pub(super) fn put(&self, key: [u8; 32], actor: Actor) {
        let mut held = self.lock();
        if held.len() >= MOST {
            held.retain(|_, (at, _)| at.elapsed() < FRESH);
        }
        if held.len() < MOST {
            held.insert(key, (Instant::now(), actor));
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

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Instant, Actor)>> {
        // A panic while holding the lock leaves a whole map: every change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
