//! `/session`, `/me`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, Caller, Client, SESSION_COOKIE};
use super::problem::{ApiResult, Problem};
use super::state::Api;
use crate::access::{Actor, Permission, Role, Via};
use crate::model::UtcMicros;

const TAG: &str = "session";

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    name: String,
    password: String,
}

/// The person who is signed in and what their post may do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    id: Option<String>,
    name: String,
    display_name: String,
    role: &'static str,
    role_zh: &'static str,
    role_en: &'static str,
    may: Vec<&'static str>,
    #[schema(value_type = Option<String>, format = DateTime)]
    session_expires: Option<UtcMicros>,
}

impl Me {
    fn new(actor: &Actor) -> Self {
        Self {
            id: actor.user.map(|id| id.to_string()),
            name: actor.name.to_string(),
            display_name: actor.display_name.to_string(),
            role: actor.role_word(),
            role_zh: actor.role.map_or("", Role::name_zh),
            role_en: actor.role.map_or("", Role::name_en),
            may: actor
                .permissions()
                .into_iter()
                .map(Permission::as_str)
                .collect(),
            session_expires: match actor.via {
                Via::Session { expires, .. } => Some(expires),
                Via::Token { expires, .. } => expires,
                Via::Command | Via::System | Via::Anonymous => None,
            },
        }
    }
}

/// Signs in with name and password; the answer sets the session cookie.
#[utoipa::path(post, path = "/session", tag = TAG, request_body = SignIn,
    responses((status = 200, body = Me), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub(super) async fn sign_in(
    State(api): State<Api>,
    Client(client): Client,
    jar: CookieJar,
    Body(input): Body<SignIn>,
) -> ApiResult<(CookieJar, Json<Me>)> {
    let signed = api
        .access
        .sign_in(&input.name, &input.password, client)
        .await?;
    let mut cookie = Cookie::new(SESSION_COOKIE, signed.secret);
    cookie.set_path("/");
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Strict);
    cookie.set_secure(api.config.http.behind_tls);
    Ok((jar.add(cookie), Json(Me::new(&signed.actor))))
}

/// Signs out.
#[utoipa::path(delete, path = "/session", tag = TAG, responses((status = 204), (status = 401, body = Problem)))]
pub(super) async fn sign_out(
    State(api): State<Api>,
    Caller(actor): Caller,
    jar: CookieJar,
) -> ApiResult<(CookieJar, StatusCode)> {
    api.access.sign_out(&actor).await?;
    let mut gone = Cookie::from(SESSION_COOKIE);
    gone.set_path("/");
    Ok((jar.remove(gone), StatusCode::NO_CONTENT))
}

/// Who is signed in.
#[utoipa::path(get, path = "/me", tag = TAG, responses((status = 200, body = Me), (status = 401, body = Problem)))]
pub(super) async fn me(Caller(actor): Caller) -> Json<Me> {
    Json(Me::new(&actor))
}
