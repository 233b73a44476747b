//! Tells cargo which folders end up inside the program, and makes a fresh clone build before the console is built.

use std::path::Path;
use std::time::UNIX_EPOCH;
use std::{fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    // `bundled-ui` embeds this folder and needs it to exist; empty, the daemon answers that it was built without a console.
    // cargo takes a watched folder that is missing for changed, every time; and the folder made here must not look changed
    // by this very run, so it is made old.
    let console = Path::new("web/dist");
    if !console.is_dir() && fs::create_dir_all(console).is_ok() {
        fs::File::open(console)?.set_modified(UNIX_EPOCH)?;
    }
    for folder in ["web/dist", "migrations", "pipelines"] {
        if Path::new(folder).is_dir() {
            println!("cargo::rerun-if-changed={folder}");
        }
    }
    Ok(())
}
