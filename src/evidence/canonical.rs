//! One text for one value (RFC 8785 without its numbers): keys sorted, no blanks, whole numbers only.
//!
//! A signature or hash over JSON needs that two programs write the same bytes; fractions are where they do not agree, so times
//! are whole microseconds and coordinates whole 1e-7 degrees.

use serde_json::Value;

use crate::model::{Error, Result};

pub fn to_canonical(value: &Value) -> Result<String> {
    let mut out = String::new();
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut String) -> Result<()> {
    match value {
        Value::Null | Value::Bool(_) => out.push_str(&value.to_string()),
        Value::Number(n) if n.is_i64() || n.is_u64() => out.push_str(&n.to_string()),
        Value::Number(n) => {
            return Err(Error::internal(
                "not_canonical",
                format!("{n} is no whole number; canonical JSON has no fractions"),
            ));
        }
        Value::String(text) => quote(text, out),
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            // RFC 8785 §3.2.3: by UTF-16 code units.
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (n, (key, member)) in members.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                quote(key, out);
                out.push(':');
                write(member, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// serde_json escapes what RFC 8785 §3.2.2.2 escapes, and in the same way.
fn quote(text: &str, out: &mut String) {
    out.push_str(&Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_nothing_is_left_to_taste() {
        let value = json!({"b": [1, -2, null, true], "a": {"时": "榆阳\n\u{7}\"\\/", "A": 9_007_199_254_740_993_i64}});
        assert_eq!(
            to_canonical(&value).unwrap(),
            "{\"a\":{\"A\":9007199254740993,\"时\":\"榆阳\\n\\u0007\\\"\\\\/\"},\"b\":[1,-2,null,true]}"
        );
        // RFC 8785 §3.2.3: a surrogate pair (U+1F600) sorts before U+FB33, although its code point is higher.
        let value = json!({"\u{fb33}": 1, "\u{1f600}": 2});
        assert_eq!(
            to_canonical(&value).unwrap(),
            "{\"\u{1f600}\":2,\"\u{fb33}\":1}"
        );
    }

    #[test]
    fn fractions_are_refused() {
        assert_eq!(
            to_canonical(&json!({"lon": 109.7})).unwrap_err().code(),
            "not_canonical"
        );
    }
}
