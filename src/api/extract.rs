//! Who is calling, and what ranges they name.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, Method, header, request::Parts};
use axum_extra::extract::CookieJar;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::problem::{ApiError, ApiResult};
use super::state::Api;
use crate::access::{Actor, Credential};
use crate::model::{Error, ErrorKind, TimeRange, UtcMicros};

pub(super) const SESSION_COOKIE: &str = "zhenbei_session";

/// The signed-in caller of a request.
pub(super) struct Caller(pub Actor);

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let client = client_address(parts, api.config.http.behind_tls);
        if let Some(token) = bearer(&parts.headers) {
            return Ok(Self(
                api.access
                    .authenticate(Credential::Bearer(token), client)
                    .await?,
            ));
        }
        let jar = CookieJar::from_headers(&parts.headers);
        let Some(cookie) = jar.get(SESSION_COOKIE) else {
            return Err(Error::new(
                ErrorKind::Unauthenticated,
                "sign_in_first",
                "this needs a sign-in: POST /api/v1/session, or send `Authorization: Bearer <token>`",
            )
            .into());
        };
        let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        check_same_origin(&parts.headers, reads)?;
        Ok(Self(
            api.access
                .authenticate(Credential::Cookie(cookie.value()), client)
                .await?,
        ))
    }
}

/// Where the request comes from. Behind a proxy that is what the proxy says: the last entry of `X-Forwarded-For`, which the proxy
/// itself has added; those before it are whatever the client wrote.
fn client_address(parts: &Parts, behind_proxy: bool) -> Option<IpAddr> {
    let forwarded = || {
        let lines = parts.headers.get_all("x-forwarded-for");
        let last = lines.iter().next_back()?.to_str().ok()?;
        let last = last.rsplit(',').next()?.trim();
        let address = last.parse::<IpAddr>().ok();
        address.or_else(|| last.parse::<SocketAddr>().ok().map(|a| a.ip()))
    };
    let peer = || Some(parts.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip());
    let proxied = behind_proxy.then(forwarded).flatten();
    proxied.or_else(peer).map(|a| a.to_canonical())
}

/// The address of a caller who need not be signed in.
pub(super) struct Client(pub Option<IpAddr>);

impl FromRequestParts<Api> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Self::Rejection> {
        Ok(Self(client_address(parts, api.config.http.behind_tls)))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
        .map(str::trim)
}

/// A page of another origin can make a browser send our cookie, but cannot set `X-Zhenbei`, nor hide its own `Origin` on a
/// WebSocket.
fn check_same_origin(headers: &HeaderMap, reads: bool) -> ApiResult<()> {
    let refused = |detail: &str| Err(Error::forbidden("other_origin", detail).into());
    if !reads && !headers.contains_key("x-zhenbei") {
        return refused("a change made with the session cookie needs the header `X-Zhenbei: 1`");
    }
    let upgrade = headers.get(header::UPGRADE).is_some();
    if upgrade
        && let (Some(origin), Some(host)) =
            (text(headers, header::ORIGIN), text(headers, header::HOST))
        && origin.split_once("://").is_none_or(|(_, of)| of != host)
    {
        return refused("a page of another origin cannot open this socket with your session");
    }
    Ok(())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// A JSON body; what is wrong with it is told as a problem.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(e) => Err(Error::invalid(
                "bad_body",
                format!("the body was not understood: {}", e.body_text()),
            )
            .into()),
        }
    }
}

/// The part of the address after `?`; what is wrong with it is told as a problem.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(e) => Err(Error::invalid(
                "bad_query",
                format!("the query was not understood: {}", e.body_text()),
            )
            .into()),
        }
    }
}

/// `from` and `to`, RFC 3339 or milliseconds since 1970.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RangeQuery {
    #[param(value_type = String, example = "2026-01-01T08:00:00Z")]
    from: Option<String>,
    #[param(value_type = String, example = "2026-01-01T08:05:00Z")]
    to: Option<String>,
    /// `main` (default) or `sub`.
    #[param(value_type = Option<String>)]
    pub stream: Option<String>,
}

impl RangeQuery {
    pub(super) fn range(&self) -> ApiResult<TimeRange> {
        range_of(self.from.as_deref(), self.to.as_deref())
    }

    /// As the part of an address after `?`.
    pub(super) fn query(&self, range: TimeRange) -> String {
        let stream = self.stream.as_deref().unwrap_or("main");
        format!("from={}&to={}&stream={stream}", range.from, range.to)
    }
}

/// A range as callers write it.
pub(super) fn range_of(from: Option<&str>, to: Option<&str>) -> ApiResult<TimeRange> {
    let part = |name: &str, value: Option<&str>| match value {
        Some(text) => UtcMicros::parse(text)
            .map_err(|e| Error::invalid("bad_range", format!("`{name}`: {}", e.detail()))),
        None => Err(Error::invalid(
            "bad_range",
            format!("`{name}` is missing; this call needs `from` and `to`"),
        )),
    };
    Ok(TimeRange::new(part("from", from)?, part("to", to)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_proxy_added_tells_the_address() {
        let from = |lines: &[&str], behind_proxy| {
            let mut request = Request::builder();
            for line in lines {
                request = request.header("x-forwarded-for", *line);
            }
            let mut parts = request.body(()).unwrap().into_parts().0;
            let peer: SocketAddr = "127.0.0.1:50000".parse().unwrap();
            parts.extensions.insert(ConnectInfo(peer));
            client_address(&parts, behind_proxy).unwrap().to_string()
        };
        assert_eq!(from(&["10.0.0.9"], false), "127.0.0.1");
        assert_eq!(from(&[], true), "127.0.0.1");
        assert_eq!(from(&["6.6.6.6, 10.0.0.9"], true), "10.0.0.9");
        assert_eq!(from(&["6.6.6.6", "10.0.0.9"], true), "10.0.0.9");
        assert_eq!(from(&["[2001:db8::1]:443"], true), "2001:db8::1");
        assert_eq!(from(&["10.0.0.9, nonsense"], true), "127.0.0.1");
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let mut headers = HeaderMap::new();
        assert!(check_same_origin(&headers, true).is_ok());
        assert!(check_same_origin(&headers, false).is_err());
        headers.insert("x-zhenbei", "1".parse().unwrap());
        assert!(check_same_origin(&headers, false).is_ok());
        headers.insert(header::UPGRADE, "websocket".parse().unwrap());
        headers.insert(header::HOST, "wall.local:8080".parse().unwrap());
        headers.insert(header::ORIGIN, "http://wall.local:8080".parse().unwrap());
        assert!(check_same_origin(&headers, true).is_ok());
        headers.insert(header::ORIGIN, "http://evil.example".parse().unwrap());
        assert!(check_same_origin(&headers, true).is_err());
    }
}
