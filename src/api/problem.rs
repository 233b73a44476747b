//! Errors as problem details (RFC 9457). What is not the caller's fault is logged here, once, with its whole chain.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{Error, ErrorKind};

/// An error as the caller sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: &'static str,
    pub status: u16,
    /// Who, what, where, and what to do.
    pub detail: String,
    /// A stable word for programs and translations.
    pub code: &'static str,
    /// Whether the same call may work later with nothing changed.
    pub retry: bool,
}

pub(super) fn status(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::Invalid => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "The request cannot be carried out as it is",
        ),
        ErrorKind::Unauthenticated => (StatusCode::UNAUTHORIZED, "Sign in first"),
        ErrorKind::Forbidden => (StatusCode::FORBIDDEN, "Not allowed"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "Not found"),
        ErrorKind::Conflict => (StatusCode::CONFLICT, "Not possible in this state"),
        ErrorKind::TooMuch => (StatusCode::TOO_MANY_REQUESTS, "A limit was reached"),
        ErrorKind::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "A part of the system does not answer",
        ),
        ErrorKind::Internal => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong on our side",
        ),
    }
}

/// What handlers return on failure.
#[derive(Debug)]
pub(super) struct ApiError(pub Error);

impl From<Error> for ApiError {
    fn from(e: Error) -> Self {
        Self(e)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let e = self.0;
        let (status, title) = status(e.kind());
        match e.kind() {
            ErrorKind::Internal | ErrorKind::Unavailable => {
                tracing::warn!(code = e.code(), error = e.chain(), "request failed");
            }
            ErrorKind::Invalid
            | ErrorKind::Unauthenticated
            | ErrorKind::Forbidden
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::TooMuch => {}
        }
        let body = Problem {
            kind: format!("/problems/{}", e.code()),
            title,
            status: status.as_u16(),
            detail: e.detail().to_owned(),
            code: e.code(),
            retry: e.is_transient(),
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if e.is_transient() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

pub(super) type ApiResult<T> = Result<T, ApiError>;
