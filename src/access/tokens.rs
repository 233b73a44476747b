//! Bearer tokens for machines. A token may what its person may.

use serde::Serialize;

use super::people::sign_in_name;
use super::sessions::{key_of, new_secret};
use super::{Access, Action, Actor, Permission, audited};
use crate::model::{Error, Result, TokenId, UserId, UtcMicros};
use crate::store::database::TokenRow;

/// Begins every token, so that a leaked one can be found by searching.
const PREFIX: &str = "zb_";
const TOKENS_EACH: usize = 50;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    pub id: TokenId,
    pub name: String,
    pub created_at: UtcMicros,
    pub last_used: Option<UtcMicros>,
    pub expires_at: Option<UtcMicros>,
    pub revoked_at: Option<UtcMicros>,
}

#[derive(Clone, Debug, Default)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    pub expires_at: Option<UtcMicros>,
}

impl Access {
    /// Returns the token; it is shown once and kept nowhere.
    pub async fn add_token(&self, actor: &Actor, user: &str, new: NewToken) -> Result<String> {
        let user = sign_in_name(user);
        let object = format!("token of user/{user}");
        audited(
            &self.0.audit,
            actor,
            Action::TokenAdd,
            &object,
            &new.name,
            async {
                let owner = self.owner(actor, &user).await?;
                if new.name.chars().count() > 80 {
                    return Err(Error::invalid(
                        "bad_name",
                        "a token's name has at most 80 signs",
                    ));
                }
                let now = self.0.clock.now();
                if new.expires_at.is_some_and(|e| e <= now) {
                    return Err(Error::invalid(
                        "bad_time",
                        "the token would have expired already",
                    ));
                }
                let held = self.0.db.tokens(owner).await?;
                if held.iter().filter(|t| t.revoked_at.is_none()).count() >= TOKENS_EACH {
                    return Err(Error::conflict(
                        "too_many_tokens",
                        format!("`{user}` has {TOKENS_EACH} tokens already; revoke one first"),
                    ));
                }
                let secret = new_secret(PREFIX);
                let row = TokenRow {
                    id: TokenId::generate(),
                    user: owner,
                    name: new.name.clone(),
                    created_at: now,
                    last_used: None,
                    expires_at: new.expires_at,
                    revoked_at: None,
                };
                self.0
                    .db
                    .add_token(&row, &hex::encode(key_of(&secret)))
                    .await?;
                Ok(secret)
            },
        )
        .await
    }

    /// A person's tokens, newest first; revoked ones stay in the list.
    pub async fn tokens(&self, actor: &Actor, user: &str) -> Result<Vec<Token>> {
        let owner = self.owner(actor, &sign_in_name(user)).await?;
        Ok(self
            .0
            .db
            .tokens(owner)
            .await?
            .into_iter()
            .map(token)
            .collect())
    }

    pub async fn revoke_token(&self, actor: &Actor, user: &str, id: TokenId) -> Result<()> {
        let user = sign_in_name(user);
        let object = format!("token:{id} of user/{user}");
        audited(
            &self.0.audit,
            actor,
            Action::TokenRevoke,
            &object,
            "",
            async {
                let owner = self.owner(actor, &user).await?;
                let theirs = self.0.db.tokens(owner).await?.iter().any(|t| t.id == id);
                if !theirs || !self.0.db.revoke_token(id, self.0.clock.now()).await? {
                    return Err(Error::not_found(
                        "not_found",
                        format!("`{user}` has no token {id} that could be revoked"),
                    ));
                }
                self.0.cache.forget_token(id);
                Ok(())
            },
        )
        .await
    }

    /// One's own tokens, or anybody's at the command line of the machine: a token is the person, and nobody acts as another.
    async fn owner(&self, actor: &Actor, user: &str) -> Result<UserId> {
        if *actor.name == *user
            && let Some(id) = actor.user
        {
            return Ok(id);
        }
        if actor.role.is_some() {
            return Err(Error::forbidden(
                "forbidden",
                format!(
                    "{} may not handle the tokens of `{user}`; use `zhenbei token` on the machine",
                    actor.who()
                ),
            ));
        }
        actor.need(Permission::UserWrite, user)?;
        Ok(self.named(user).await?.id)
    }
}

fn token(row: TokenRow) -> Token {
    Token {
        id: row.id,
        name: row.name,
        created_at: row.created_at,
        last_used: row.last_used,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
    }
}
