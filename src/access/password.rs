//! Passwords: argon2id, on threads of their own and few at a time.

use std::sync::{Arc, OnceLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::model::{Error, ErrorKind, Result};

/// Each hash takes 19 MiB and some 30 ms of one core (the parameters OWASP names): two at a time leave the box to the video,
/// however many people sign in at once; more than this wait, and the rest is told to come again.
const AT_ONCE: usize = 2;
const WAITING: usize = 64;

pub(super) struct Hasher {
    places: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
            queue: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
        }
    }
}

impl Hasher {
    pub(super) async fn hash(&self, password: &str) -> Result<String> {
        let password = password.to_owned();
        self.run(move || {
            Argon2::default()
                .hash_password(password.as_bytes())
                .map(|h| h.to_string())
                .map_err(|e| {
                    Error::internal("hash_failed", "the password could not be hashed")
                        .because(e.to_string())
                })
        })
        .await?
    }

    /// Whether the password fits. Without a hash (nobody has that name) it takes as long and is false.
    pub(super) async fn verify(&self, password: &str, hash: Option<String>) -> Result<bool> {
        let password = password.to_owned();
        self.run(move || {
            let known = hash.is_some();
            let hash = hash.as_deref().unwrap_or_else(|| nobodys_hash());
            let fits = PasswordHash::new(hash).is_ok_and(|h| {
                Argon2::default()
                    .verify_password(password.as_bytes(), &h)
                    .is_ok()
            });
            fits && known
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = || {
            Error::new(
                ErrorKind::TooMuch,
                "busy",
                "too many people are signing in at this moment; try again in a few seconds",
            )
        };
        let _queued = self.queue.clone().try_acquire_owned().map_err(|_| busy())?;
        let place = self
            .places
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| busy())?;
        tokio::task::spawn_blocking(move || {
            // Held by the thread, not by the caller: a caller who hangs up does not free the place early.
            let _place = place;
            work()
        })
        .await
        .map_err(|e| Error::internal("hash_failed", "hashing a password broke off").because(e))
    }
}

/// The hash of a random password that nobody knows, with the same parameters.
fn nobodys_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        let password = super::sessions::new_secret("");
        Argon2::default()
            .hash_password(password.as_bytes())
            .map(|h| h.to_string())
            .unwrap_or_default()
    })
}

/// 16 signs that cannot be mistaken for one another: 92 bits.
pub(super) fn random_password() -> String {
    const SIGNS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut password = String::new();
    let mut bytes = [0_u8; 64];
    while password.len() < 16 {
        rand::Rng::fill_bytes(&mut rand::rng(), &mut bytes);
        // Bytes beyond a multiple of the alphabet are thrown away, so that no sign is likelier than another.
        let whole = 256 / SIGNS.len() * SIGNS.len();
        for b in bytes.iter().map(|b| usize::from(*b)).filter(|b| *b < whole) {
            if let (true, Some(sign)) = (password.len() < 16, SIGNS.get(b % SIGNS.len())) {
                password.push(char::from(*sign));
            }
        }
    }
    password
}

pub(super) fn check_new_password(name: &str, password: &str) -> Result<()> {
    let weak = |why: &str| {
        Err(Error::invalid(
            "weak_password",
            format!("this password {why}"),
        ))
    };
    let signs = password.chars().count();
    if signs < 8 {
        return weak("is too short: use 8 signs or more");
    }
    if password.len() > 256 {
        return weak("is too long: use 256 bytes or less");
    }
    if password.to_lowercase() == name {
        return weak("is the sign-in name: use another");
    }
    if password.chars().all(|c| password.starts_with(c)) {
        return weak("repeats one sign: use another");
    }
    Ok(())
}
