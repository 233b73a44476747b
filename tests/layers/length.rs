//! A file is one thing.

use std::path::{Path, PathBuf};

use super::{files, has_extension, no_complaints, text};

const LONGEST_FILE: usize = 800;

fn too_long(path: &Path, content: &str) -> Option<String> {
    let lines = content.lines().count();
    (lines > LONGEST_FILE).then(|| {
        format!(
            "{}: {lines} lines, {LONGEST_FILE} at most; it is more than one thing",
            path.display()
        )
    })
}

#[test]
fn no_file_is_too_long_to_read() {
    let code = |p: &&PathBuf| has_extension(p, &["rs", "ts", "vue", "mjs", "css", "sh"]);
    let complaints: Vec<String> = files()
        .iter()
        .filter(code)
        .filter_map(|p| too_long(p, &text(p)?))
        .collect();
    no_complaints(&complaints);
    assert!(too_long(Path::new("x.rs"), &"\n".repeat(LONGEST_FILE + 1)).is_some());
    assert!(too_long(Path::new("x.rs"), &"\n".repeat(LONGEST_FILE)).is_none());
}
