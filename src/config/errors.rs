//! Everything that is wrong with a file, at once.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Line of the file, counted from 1.
    Line(usize),
    /// An environment variable that overrides the file.
    Env(String),
    /// Not written anywhere: a default, or something that is missing.
    File,
}

/// One thing that is wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub origin: Origin,
    /// As an operator would look for it: `[http] listen`, `[[cameras]] 3 main`. Empty for the file as a whole.
    pub key: String,
    /// What is wrong and what to do. Never holds a secret.
    pub message: String,
}

impl Finding {
    /// `zhenbei.toml:12: [http] listen: …`
    pub fn line(&self, file: &Path) -> String {
        let place = match &self.origin {
            Origin::Line(n) => format!("{}:{n}", file.display()),
            Origin::Env(name) => format!("environment variable {name}"),
            Origin::File => file.display().to_string(),
        };
        if self.key.is_empty() {
            format!("{place}: {}", self.message)
        } else {
            format!("{place}: {}: {}", self.key, self.message)
        }
    }
}

/// As many are shown; a script that wrote a thousand wrong cameras made one mistake.
const SHOWN: usize = 100;

/// Why a file cannot be used. The command line ends with status 64 on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    pub file: PathBuf,
    /// In the order of the file. Never empty.
    pub items: Vec<Finding>,
}

impl ConfigErrors {
    pub(super) fn whole_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            items: vec![Finding {
                origin: Origin::File,
                key: String::new(),
                message: message.into(),
            }],
        }
    }

    pub(super) fn new(file: &Path, mut items: Vec<Finding>) -> Self {
        items.sort_by_key(|i| match i.origin {
            Origin::Line(n) => (0, n),
            Origin::Env(_) => (1, 0),
            Origin::File => (2, 0),
        });
        Self {
            file: file.to_owned(),
            items,
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.items.len();
        let word = if count == 1 { "error" } else { "errors" };
        write!(f, "{} has {count} {word}:", self.file.display())?;
        for item in self.items.iter().take(SHOWN) {
            write!(f, "\n  {}", item.line(&self.file))?;
        }
        match count.saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  … and {more} more"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

/// The known word nearest to a mistyped one, if one is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    known
        .map(|k| (edits(&word, k), k))
        .filter(|(d, k)| *d <= 1 + k.len() / 4)
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// Insertions, deletions and replacements between two words (Levenshtein 1966).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let next = (diagonal + usize::from(x != *y))
                .min(left + 1)
                .min(*cell + 1);
            diagonal = std::mem::replace(cell, next);
            left = next;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", "abc"), 0);
    }

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["listen", "ui_dir", "retention_days"];
        assert_eq!(nearest("listn", known.into_iter()), Some("listen"));
        assert_eq!(
            nearest("retention-day", known.into_iter()),
            Some("retention_days")
        );
        assert_eq!(nearest("colour", known.into_iter()), None);
    }
}
