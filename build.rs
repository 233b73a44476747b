//! Tells cargo which folders end up inside the program, and where the console is.
//!
//! `ZHENBEI_UI` names the folder that `bundled-ui` embeds: `web/dist` when the console has been built (`make ui`), otherwise a
//! folder with one page that says how to build it, so that `cargo build` works in a fresh clone.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use std::{env, fs, io};

const NOT_BUILT: &str = "<!doctype html><meta charset=\"utf-8\"><title>镇北</title>\
    <p>这个程序里没有操作台。请运行 <code>make ui</code> 后重新编译。\
    <p>This program was built without its console. Run <code>make ui</code> and build again.\n";

fn main() -> io::Result<()> {
    for folder in ["migrations", "pipelines"] {
        if Path::new(folder).is_dir() {
            println!("cargo::rerun-if-changed={folder}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=ZHENBEI_UI={}", ui_folder()?.display());
    Ok(())
}

fn ui_folder() -> io::Result<PathBuf> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = root.join("web/dist");
    // cargo takes a watched folder that is missing for changed, every time. The new folder's age keeps it from looking
    // changed by this very run.
    if !dist.is_dir() && fs::create_dir_all(&dist).is_ok() {
        fs::File::open(&dist)?.set_modified(UNIX_EPOCH)?;
    }
    println!("cargo::rerun-if-changed=web/dist");
    if dist.join("index.html").is_file() {
        return Ok(dist);
    }
    let placeholder = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("ui");
    fs::create_dir_all(&placeholder)?;
    fs::write(placeholder.join("index.html"), NOT_BUILT)?;
    Ok(placeholder)
}
