//! Names that are safe as paths of a folder and as keys of an object store.

use std::fmt;

use crate::model::{Error, Result};

/// 1 to 8 parts joined by `/`, each 1 to 100 of `A-Z a-z 0-9 . _ -`, none beginning with a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName(String);

impl BlobName {
    pub fn new(text: &str) -> Result<Self> {
        let part_ok = |p: &str| {
            (1..=100).contains(&p.len())
                && !p.starts_with('.')
                && p.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if text.split('/').count() <= 8 && text.split('/').all(part_ok) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid(
            "bad_name",
            format!(
                "`{}` cannot name a file of evidence",
                text.chars().take(120).collect::<String>()
            ),
        ))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        assert!(BlobName::new("cases/0193/clip.mp4").is_ok());
        for bad in [
            "",
            "/etc/passwd",
            "a//b",
            "../x",
            "a/..",
            "a/.hidden",
            "a\\b",
            "a b",
            "证据",
            "a/b/",
        ] {
            assert!(BlobName::new(bad).is_err(), "{bad} should be refused");
        }
        assert!(BlobName::new(&"x/".repeat(9)).is_err());
    }
}
