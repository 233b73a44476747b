//! Manners towards one host: few sessions being opened at the same time, and a password tried once.
//!
//! A recorder with 32 channels behind one account locks that account after five to seven wrong tries. So as long as a user
//! and password are not known to be right, one stream tries them while the others of the host wait; what was refused then
//! is not tried again by any stream until a person asks for it. A refusal of what was right a moment ago proves nothing yet (a
//! camera that starts, or is overloaded, answers 401 too): it only has to be proved again, by one stream at a time.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, watch};

use super::address::Address;

/// Every host of the wanted cameras.
pub(super) struct Hosts {
    connects: usize,
    patience: Duration,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

pub(super) struct Host {
    opening: Arc<Semaphore>,
    patience: Duration,
    proving: Arc<tokio::sync::Mutex<()>>,
    accounts: Mutex<Accounts>,
    /// Moves when a user and password turn out to be right.
    accepted: watch::Sender<u64>,
}

#[derive(Default)]
struct Accounts {
    right: HashSet<Account>,
    refused: HashSet<Account>,
    /// How many streams show pictures with it now.
    playing: HashMap<Account, usize>,
}

/// A user and password, not readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Account(u64);

impl Account {
    /// `None` for an address without user name.
    pub(super) fn of(address: &Address) -> Option<Self> {
        let credentials = address.credentials.as_ref()?;
        let mut hash = DefaultHasher::new();
        (&credentials.username, &credentials.password).hash(&mut hash);
        Some(Self(hash.finish()))
    }
}

/// Leave to try a user and password that are not known to be right.
pub(super) struct Proving {
    host: Arc<Host>,
    account: Account,
    _only: Option<OwnedMutexGuard<()>>,
}

impl Proving {
    pub(super) fn accepted(self) {
        let mut accounts = self.host.accounts();
        accounts.refused.remove(&self.account);
        let news = accounts.right.insert(self.account);
        drop(accounts);
        if news {
            self.host.accepted.send_modify(|n| *n = n.wrapping_add(1));
        }
    }
}

/// A stream shows pictures with this account, as long as this lives.
pub(super) struct Playing {
    host: Arc<Host>,
    account: Account,
}

impl Drop for Playing {
    fn drop(&mut self) {
        let mut accounts = self.host.accounts();
        if let Some(n) = accounts.playing.get_mut(&self.account) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                accounts.playing.remove(&self.account);
            }
        }
    }
}

/// What a refusal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing certain: the account was right before. To be proved again.
    Doubtful,
    /// This stream is not for this account, which is right for others.
    Stream,
    /// The account is wrong, for every stream of this host.
    Account,
}

/// May a session be opened now?
pub(super) enum Leave {
    Open(OwnedSemaphorePermit, Option<Proving>),
    /// Another stream of this host was refused with the same user and password.
    Refused,
}

impl Hosts {
    /// `patience`: how long a stream waits for another that tries the same host; longer than any answer takes.
    pub(super) fn new(connects: usize, patience: Duration) -> Self {
        Self {
            connects: connects.max(1),
            patience,
            hosts: Mutex::default(),
        }
    }

    pub(super) fn host(&self, authority: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(authority.to_owned()).or_insert_with(|| {
            Arc::new(Host {
                opening: Arc::new(Semaphore::new(self.connects)),
                patience: self.patience,
                proving: Arc::default(),
                accounts: Mutex::default(),
                accepted: watch::Sender::new(0),
            })
        });
        Arc::clone(host)
    }

    /// Forgets hosts that no stream uses.
    pub(super) fn forget_unused(&self) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.retain(|_, host| Arc::strong_count(host) > 1);
    }
}

impl Host {
    /// Waits for its turn.
    pub(super) async fn leave(self: &Arc<Self>, account: Option<Account>) -> Leave {
        loop {
            let proving = match account {
                Some(account) if !self.is_right(account) => Some(self.prove(account).await),
                Some(_) | None => None,
            };
            // Never closed; if it were, waiting for ever would be the only wrong answer.
            let Ok(permit) = Arc::clone(&self.opening).acquire_owned().await else {
                return Leave::Refused;
            };
            let Some(account) = account else {
                return Leave::Open(permit, None);
            };
            // What was known when the queue was joined may be otherwise now.
            if self.accounts().refused.contains(&account) {
                return Leave::Refused;
            }
            if self.is_right(account) {
                return Leave::Open(permit, None);
            }
            if proving.is_some() {
                return Leave::Open(permit, proving);
            }
        }
    }

    /// Waits until no other stream tries an account here. A host that does not answer at all locks no accounts, so nobody
    /// queues behind it for long.
    async fn prove(self: &Arc<Self>, account: Account) -> Proving {
        let turn = Arc::clone(&self.proving).lock_owned();
        let only = tokio::time::timeout(self.patience, turn).await.ok();
        Proving {
            host: Arc::clone(self),
            account,
            _only: only,
        }
    }

    /// The host refused. `proving`: the session was opened to prove the account. `certain`: this stream was refused before
    /// without a picture since, or the refusal names the stream and not the account.
    pub(super) fn refused(&self, account: Account, proving: bool, certain: bool) -> Refusal {
        let mut accounts = self.accounts();
        let right = accounts.right.contains(&account);
        if certain && (right || accounts.playing.contains_key(&account)) {
            return Refusal::Stream;
        }
        // Sessions that were opened while it was right say nothing new when several of them are refused at once.
        if right || !proving {
            accounts.right.remove(&account);
            return Refusal::Doubtful;
        }
        accounts.refused.insert(account);
        Refusal::Account
    }

    pub(super) fn plays(self: &Arc<Self>, account: Account) -> Playing {
        *self.accounts().playing.entry(account).or_default() += 1;
        Playing {
            host: Arc::clone(self),
            account,
        }
    }

    /// A person says that it is worth trying again.
    pub(super) fn forgive(&self, account: Account) {
        self.accounts().refused.remove(&account);
    }

    pub(super) fn accepted(&self) -> watch::Receiver<u64> {
        self.accepted.subscribe()
    }

    pub(super) fn is_right(&self, account: Account) -> bool {
        self.accounts().right.contains(&account)
    }

    fn accounts(&self) -> std::sync::MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
