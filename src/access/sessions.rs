//! Signing in, sessions, and who stands behind a call.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::people::{role_of, sign_in_name};
use super::{Access, Action, Actor, Via};
use crate::model::{Error, ErrorKind, Result, SessionId, UtcMicros};
use crate::store::database::{SessionRow, UserRow};
use crate::telemetry::{self, Metric};

/// Sessions one person may have at once; the oldest ends when there are more.
const SESSIONS_EACH: i64 = 10;
/// `last_seen` is written this often at most.
const TOUCH_US: i64 = 60_000_000;

/// What a caller shows at the door.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// The value of the session cookie.
    Cookie(&'a str),
    /// What stands after `Authorization: Bearer`.
    Bearer(&'a str),
}

pub struct SignedIn {
    pub actor: Actor,
    /// The value for the cookie; kept nowhere else.
    pub secret: String,
    pub expires: UtcMicros,
}

impl Access {
    /// Opens a session. A wrong password, an unknown name and a disabled person get the same answer after the same time.
    pub async fn sign_in(
        &self,
        name: &str,
        password: &str,
        client: Option<IpAddr>,
    ) -> Result<SignedIn> {
        let name: String = sign_in_name(name).chars().take(64).collect();
        let now = self.0.clock.now();
        if let Err(held_off) = self.0.throttle.enter(&name, client, now) {
            telemetry::count(Metric::SignIns, &[("outcome", held_off.code())], 1);
            return Err(held_off);
        }
        let nobody = Actor::anonymous(&name, client);
        let entry = self
            .0
            .audit
            .begin(&nobody, Action::SignIn, &format!("user/{name}"), "")
            .await?;
        let signed_in = self.open_session(&name, password, client, now).await;
        if signed_in.is_ok() {
            self.0.throttle.passed(&name, client);
        }
        let outcome = signed_in.as_ref().map_or_else(Error::code, |_| "ok");
        telemetry::count(Metric::SignIns, &[("outcome", outcome)], 1);
        entry.settle(signed_in).await
    }

    async fn open_session(
        &self,
        name: &str,
        password: &str,
        client: Option<IpAddr>,
        now: UtcMicros,
    ) -> Result<SignedIn> {
        let user = self.0.db.user_by_name(name).await?.filter(|u| !u.disabled);
        // A longer text than any password may be is not worth hashing.
        let password = if password.len() > 256 { "" } else { password };
        let fits = self
            .0
            .hasher
            .verify(password, user.as_ref().map(|u| u.password.clone()))
            .await?;
        let Some(user) = user.filter(|_| fits) else {
            return Err(Error::new(
                ErrorKind::Unauthenticated,
                "bad_credentials",
                "the name or the password is wrong",
            ));
        };
        let session = SessionRow {
            id: SessionId::generate(),
            user: user.id,
            client: client.map(|c| c.to_string()),
            created_at: now,
            last_seen: now,
            expires_at: now.plus(self.0.absolute),
        };
        let secret = new_secret("");
        let key = key_of(&secret);
        // Signing in is rare: the place to sweep out what has ended.
        self.0
            .db
            .delete_dead_sessions(now, now.minus(self.0.idle))
            .await?;
        self.0
            .db
            .add_session(&session, &hex::encode(key), SESSIONS_EACH)
            .await?;
        let via = Via::Session {
            id: session.id,
            expires: session.expires_at,
        };
        let actor = actor(&user, via, client, key)?;
        Ok(SignedIn {
            actor,
            secret,
            expires: session.expires_at,
        })
    }

    pub async fn sign_out(&self, actor: &Actor) -> Result<()> {
        let Via::Session { id, .. } = actor.via else {
            return Err(Error::invalid(
                "no_session",
                "only a session can be ended; revoke a token with its owner's account",
            ));
        };
        let object = format!("session/{id}");
        let entry = self
            .0
            .audit
            .begin(actor, Action::SignOut, &object, "")
            .await?;
        let ended = self.0.db.delete_session(id).await;
        self.0.cache.forget_session(id);
        entry.settle(ended).await
    }

    /// Who this is. Unknown, ended, revoked and disabled get the same answer.
    pub async fn authenticate(
        &self,
        credential: Credential<'_>,
        client: Option<IpAddr>,
    ) -> Result<Actor> {
        let key = match credential {
            Credential::Cookie(secret) | Credential::Bearer(secret) => key_of(secret),
        };
        let is_token = matches!(credential, Credential::Bearer(_));
        let now = self.0.clock.now();
        if let Some(actor) = self.0.cache.get(&key, now)
            && matches!(actor.via, Via::Token { .. }) == is_token
        {
            return Ok(Actor { client, ..actor });
        }
        let actor = if is_token {
            self.token_actor(key, client).await?
        } else {
            self.session_actor(key, client).await?
        };
        self.0.cache.put(key, actor.clone(), now);
        Ok(actor)
    }

    /// Asks again, for what lasts long (a wall's socket): the actor as they are now, or the refusal.
    pub async fn again(&self, actor: &Actor) -> Result<Actor> {
        let Some(key) = actor.key else {
            return Ok(actor.clone());
        };
        let asked_at = self.0.clock.now();
        if let Some(known) = self.0.cache.get(&key, asked_at) {
            return Ok(Actor {
                client: actor.client,
                ..known
            });
        }
        let fresh = match actor.via {
            Via::Token { .. } => self.token_actor(key, actor.client).await?,
            Via::Session { .. } | Via::Command | Via::System | Via::Anonymous => {
                self.session_actor(key, actor.client).await?
            }
        };
        self.0.cache.put(key, fresh.clone(), asked_at);
        Ok(fresh)
    }

    async fn session_actor(&self, key: [u8; 32], client: Option<IpAddr>) -> Result<Actor> {
        let now = self.0.clock.now();
        let found = self.0.db.session(&hex::encode(key)).await?;
        let alive = |s: &SessionRow| now < s.expires_at && now < s.last_seen.plus(self.0.idle);
        let Some((session, user)) = found.filter(|(s, u)| alive(s) && !u.disabled) else {
            return Err(unauthenticated("the session has ended; sign in again"));
        };
        if now.micros_since(session.last_seen) >= TOUCH_US {
            self.0.db.touch_session(session.id, now).await?;
        }
        let via = Via::Session {
            id: session.id,
            expires: session.expires_at,
        };
        actor(&user, via, client, key)
    }

    async fn token_actor(&self, key: [u8; 32], client: Option<IpAddr>) -> Result<Actor> {
        let now = self.0.clock.now();
        let found = self.0.db.token(&hex::encode(key)).await?;
        let Some((token, user)) = found.filter(|(t, u)| {
            t.revoked_at.is_none() && t.expires_at.is_none_or(|e| now < e) && !u.disabled
        }) else {
            return Err(unauthenticated(
                "the token is unknown, expired or revoked; make a new one with `zhenbei token`",
            ));
        };
        if token
            .last_used
            .is_none_or(|t| now.micros_since(t) >= TOUCH_US)
        {
            self.0.db.touch_token(token.id, now).await?;
        }
        let via = Via::Token {
            id: token.id,
            expires: token.expires_at,
        };
        actor(&user, via, client, key)
    }
}

fn actor(user: &UserRow, via: Via, client: Option<IpAddr>, key: [u8; 32]) -> Result<Actor> {
    Ok(Actor {
        user: Some(user.id),
        name: user.name.as_str().into(),
        display_name: user.display_name.as_str().into(),
        role: Some(role_of(user)?),
        via,
        client,
        key: Some(key),
    })
}

fn unauthenticated(detail: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, "unauthenticated", detail)
}

/// 256 random bits in text, after `prefix`.
pub(super) fn new_secret(prefix: &str) -> String {
    let mut bytes = [0_u8; 32];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut bytes);
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Secrets are random and long, so a plain hash is enough, and looking one up by its hash tells nothing by its time.
pub(super) fn key_of(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
