//! Answers made of bytes that lie somewhere: Range, ETag, Content-Length (RFC 9110 §13, §14).

use std::io;
use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;

use super::range::{Wanted, wanted};

/// A file to be sent, whole or in part.
pub(super) struct Sendable {
    pub len: u64,
    /// Strong, with quotes.
    pub etag: String,
    pub media_type: String,
    /// Offer it under this name for saving.
    pub download_as: Option<String>,
    pub extra: Vec<(&'static str, String)>,
}

/// The head of an answer whose body is still to come.
pub(super) struct Head {
    status: StatusCode,
    headers: HeaderMap,
    /// The bytes to send.
    pub range: Range<u64>,
}

impl Head {
    pub(super) fn with<S>(self, body: S) -> Response
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        (self.status, self.headers, Body::from_stream(body)).into_response()
    }
}

impl Sendable {
    /// What the request's conditions lead to: the head of an answer with bytes, or a whole answer that needs none (as `Err`).
    pub(super) fn answer(self, request: &HeaderMap) -> Result<Head, Box<Response>> {
        let text = |name| {
            request
                .get(name)
                .and_then(|v: &HeaderValue| v.to_str().ok())
        };
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        };
        set(header::ETAG, self.etag.clone());
        set(header::ACCEPT_RANGES, "bytes".into());
        set(header::CACHE_CONTROL, "private, no-cache".into());
        for (name, value) in self.extra {
            set(HeaderName::from_static(name), value);
        }
        if text(header::IF_NONE_MATCH)
            .is_some_and(|v| v == "*" || v.split(',').any(|t| t.trim() == self.etag))
        {
            return Err(Box::new(
                (StatusCode::NOT_MODIFIED, headers).into_response(),
            ));
        }
        // If-Range with another tag: the caller's copy is of other bytes, so it needs the whole.
        let range = match text(header::IF_RANGE) {
            Some(tag) if tag != self.etag => None,
            Some(_) | None => text(header::RANGE),
        };
        let (status, range) = match wanted(range, self.len) {
            Wanted::Whole => (StatusCode::OK, 0..self.len),
            Wanted::Part(part) => {
                set(
                    header::CONTENT_RANGE,
                    format!("bytes {}-{}/{}", part.start, part.end - 1, self.len),
                );
                (StatusCode::PARTIAL_CONTENT, part)
            }
            Wanted::Unsatisfiable => {
                set(header::CONTENT_RANGE, format!("bytes */{}", self.len));
                return Err(Box::new(
                    (StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response(),
                ));
            }
        };
        set(header::CONTENT_TYPE, self.media_type);
        set(
            header::CONTENT_LENGTH,
            (range.end - range.start).to_string(),
        );
        if let Some(name) = self.download_as {
            set(header::CONTENT_DISPOSITION, content_disposition(&name));
        }
        Ok(Head {
            status,
            headers,
            range,
        })
    }
}

/// `attachment` with the name in ASCII and, for the rest of the world, RFC 5987.
fn content_disposition(name: &str) -> String {
    let ascii: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._- ".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    let mut encoded = String::new();
    for b in name.bytes() {
        if b.is_ascii_alphanumeric() || b"._-".contains(&b) {
            encoded.push(char::from(b));
        } else {
            encoded.push_str(&format!("%{b:02X}"));
        }
    }
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_in_both_forms() {
        assert_eq!(
            content_disposition("榆阳 1.mp4"),
            "attachment; filename=\"__ 1.mp4\"; filename*=UTF-8''%E6%A6%86%E9%98%B3%201.mp4"
        );
    }
}
