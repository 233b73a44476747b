//! `${NAME}` in a text value is the environment variable NAME; `${file:PATH}` is the text of a file, without its last line end.
//!
//! So that passwords stay out of files that are copied, shown and kept under version control.

use std::path::Path;

/// The largest secret taken from a file: a mistaken path must not swallow a recording.
const LONGEST: u64 = 64 * 1024;

/// The environment as it was at the start; tests bring their own.
#[derive(Clone, Debug, Default)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// Names that are not UTF-8 cannot be ours.
    pub fn of_process() -> Self {
        let utf8 = |(k, v): (std::ffi::OsString, std::ffi::OsString)| {
            Some((k.into_string().ok()?, v.into_string().ok()?))
        };
        let mut all: Vec<_> = std::env::vars_os().filter_map(utf8).collect();
        all.sort();
        Self(all)
    }

    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self(
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| k == name)
            .map(|(_, v)| v.as_str())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }
}

/// `Ok(None)` when there is nothing to put in. The error says what to do and holds no secret.
pub(super) fn expand(text: &str, env: &Environment, base: &Path) -> Result<Option<String>, String> {
    let mut out = String::new();
    let mut rest = text;
    let mut any = false;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}') else {
            return Err("`${` without `}`; a literal `${` in an address is written %24{".into());
        };
        any = true;
        out.push_str(before);
        out.push_str(&look_up(name, env, base)?);
        rest = tail;
    }
    out.push_str(rest);
    Ok(any.then_some(out))
}

fn look_up(name: &str, env: &Environment, base: &Path) -> Result<String, String> {
    if let Some(path) = name.strip_prefix("file:") {
        let path = base.join(path);
        let shown = path.display();
        let trouble = |e: std::io::Error| format!("`${{{name}}}`: cannot read {shown}: {e}");
        let about = std::fs::metadata(&path).map_err(trouble)?;
        // A device or a pipe has no end, and no size that would tell.
        if !about.is_file() || about.len() > LONGEST {
            return Err(format!(
                "`${{{name}}}`: {shown} is not a file of at most {LONGEST} bytes, as a secret is"
            ));
        }
        let text = std::fs::read_to_string(&path).map_err(trouble)?;
        return Ok(text
            .strip_suffix('\n')
            .unwrap_or(&text)
            .trim_end_matches('\r')
            .to_owned());
    }
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || !name.bytes().all(word) {
        return Err(format!(
            "`${{{name}}}` is neither ${{NAME}} of an environment variable nor ${{file:PATH}}"
        ));
    }
    env.get(name).map(str::to_owned).ok_or_else(|| {
        format!("the environment variable {name} is not set; set it, or write ${{file:PATH}}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(text: &str) -> Result<Option<String>, String> {
        expand(
            text,
            &Environment::of(&[("PW", "s3cret")]),
            Path::new("/nowhere"),
        )
    }

    #[test]
    fn puts_variables_in_place() {
        assert_eq!(full("plain {z}/{x}"), Ok(None));
        assert_eq!(
            full("rtsp://u:${PW}@h/").unwrap().unwrap(),
            "rtsp://u:s3cret@h/"
        );
        assert_eq!(full("${PW}${PW}").unwrap().unwrap(), "s3crets3cret");
    }

    #[test]
    fn says_what_is_missing() {
        assert!(
            full("${NOT_THERE}")
                .unwrap_err()
                .contains("NOT_THERE is not set")
        );
        assert!(full("${PW").unwrap_err().contains("without `}`"));
        assert!(full("${a b}").unwrap_err().contains("neither"));
        assert!(
            full("${file:pw.txt}")
                .unwrap_err()
                .contains("/nowhere/pw.txt")
        );
    }

    #[test]
    fn a_file_loses_only_its_last_line_end() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("pw"), "two words \n").unwrap();
        let text = expand("${file:pw}", &Environment::default(), dir.path());
        assert_eq!(text.unwrap().unwrap(), "two words ");
        let endless = expand("${file:/dev/zero}", &Environment::default(), dir.path());
        assert!(endless.unwrap_err().contains("is not a file"));
    }
}
