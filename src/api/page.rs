//! `Link: <…>; rel="next"` (RFC 8288) for lists that go on.

use axum::http::{HeaderMap, HeaderValue, header};

/// The header that leads to the next page, with the same filters; empty on the last page.
pub(super) fn next_link(
    path: &str,
    keep: &[(&str, Option<String>)],
    cursor: Option<String>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(cursor) = cursor else { return headers };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in keep {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.append_pair("cursor", &cursor);
    // Percent-encoded: always a valid header value.
    if let Ok(value) = HeaderValue::from_str(&format!("<{path}?{}>; rel=\"next\"", query.finish()))
    {
        headers.insert(header::LINK, value);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_keeps_the_filters() {
        let headers = next_link(
            "/api/v1/cases",
            &[("q", Some("渣 土".into())), ("state", None)],
            Some("a|b".into()),
        );
        let link = headers.get(header::LINK).unwrap().to_str().unwrap();
        assert_eq!(
            link,
            "</api/v1/cases?q=%E6%B8%A3+%E5%9C%9F&cursor=a%7Cb>; rel=\"next\""
        );
        assert!(next_link("/api/v1/cases", &[], None).is_empty());
    }
}
