//! Is the disk in this folder the one we know? A small file on it says so.
//!
//! A mount point whose disk is away looks like an empty folder; writing there would fill the disk of the system. So nothing is
//! written to a folder that does not hold the right `archive.volume`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use uuid::Uuid;

use crate::archive::health::{cause_of, disk_message};
use crate::model::GapCause;

/// The volume's id, one line.
pub(in crate::archive) const MARK: &str = "archive.volume";
/// An operator puts it beside (or instead of) the mark to say: this disk takes that volume's place.
const ADOPT: &str = "archive.adopt";
const LOCK: &str = "archive.lock";

/// Device and inode of the mark: a folder that changes under a path changes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    device: u64,
    inode: u64,
}

impl Mark {
    pub(in crate::archive) fn of(dir: &Path) -> io::Result<Self> {
        let meta = fs::metadata(dir.join(MARK))?;
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
        })
    }
}

/// What stands in the way, for a person.
#[derive(Debug)]
pub(super) enum Refused {
    /// Another process uses it.
    InUse,
    NotThere(String),
    /// There, and too full to be marked as ours.
    NoRoom(String),
}

pub(super) struct Entered {
    pub(super) id: Uuid,
    pub(super) mark: Mark,
    /// None: on a disk that cannot be written.
    pub(super) lock: Option<File>,
}

/// Takes the folder into use: knows it again by `known`, or marks it when the volume is new (and makes it, if `make`).
pub(super) fn enter(dir: &Path, make: bool, known: Option<Uuid>) -> Result<Entered, Refused> {
    let shown = dir.display();
    let broken = |e: io::Error| {
        let message = disk_message(dir, &e);
        if cause_of(&e) == GapCause::DiskFull {
            Refused::NoRoom(message)
        } else {
            Refused::NotThere(message)
        }
    };
    let away = |why: &str| {
        Refused::NotThere(format!(
            "{shown} {why}: mount its disk; or, if another disk shall take its place, create the empty file {shown}/{ADOPT}"
        ))
    };
    if make && known.is_none() {
        fs::create_dir_all(dir).map_err(broken)?;
    }
    if !dir.is_dir() {
        return Err(away("is not there"));
    }
    let adopt = fs::symlink_metadata(dir.join(ADOPT)).is_ok();
    let found = match fs::read_to_string(dir.join(MARK)) {
        Ok(text) => match Uuid::parse_str(text.trim()) {
            Ok(id) => Some(id),
            Err(_) if adopt => None,
            Err(_) => return Err(away(&format!("holds a damaged {MARK}"))),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(broken(e)),
    };
    let id = match (found, known) {
        (Some(found), Some(known)) if found != known && !adopt => {
            return Err(away("holds another volume's disk"));
        }
        (Some(found), _) => found,
        (None, Some(_)) if !adopt => {
            return Err(away(&format!(
                "holds no {MARK}, so this is not the disk it was"
            )));
        }
        (None, _) => {
            let id = Uuid::now_v7();
            write_mark(dir, id).map_err(broken)?;
            id
        }
    };
    let lock = lock(dir)?;
    if adopt {
        fs::remove_file(dir.join(ADOPT)).map_err(broken)?;
    }
    let mark = Mark::of(dir).map_err(broken)?;
    Ok(Entered { id, mark, lock })
}

/// Whole or not at all: half a mark on a full disk would lock it out for ever.
fn write_mark(dir: &Path, id: Uuid) -> io::Result<()> {
    let new = dir.join("archive.volume.new");
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(format!("{id}\n").as_bytes())?;
        file.sync_all()
    });
    if let Err(e) = written {
        fs::remove_file(&new).ok();
        return Err(e);
    }
    fs::rename(&new, dir.join(MARK))?;
    File::open(dir)?.sync_all()
}

/// One process at a time. The lock goes with the process, however it ends.
fn lock(dir: &Path) -> Result<Option<File>, Refused> {
    let open = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join(LOCK));
    // A disk that cannot be written can still be read.
    let Ok(file) = open else { return Ok(None) };
    for attempt in 0..5 {
        if attempt > 0 {
            #[allow(clippy::disallowed_methods, reason = "on a thread for blocking work")]
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(Some(file));
        }
    }
    Err(Refused::InUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(r: Result<Entered, Refused>) -> String {
        match r {
            Ok(_) => "entered".into(),
            Err(Refused::InUse) => "in use".into(),
            Err(Refused::NotThere(why) | Refused::NoRoom(why)) => why,
        }
    }

    #[test]
    fn an_empty_mount_point_is_not_the_disk() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("disk");
        assert!(said(enter(&dir, false, None)).contains("is not there"));
        fs::create_dir(&dir).unwrap();
        let first = enter(&dir, false, None).unwrap();
        assert_eq!(said(enter(&dir, false, None)), "in use");
        let id = first.id;
        drop(first);
        assert_eq!(enter(&dir, false, Some(id)).unwrap().id, id);

        // Unmounted: what is left is the folder.
        fs::rename(&dir, top.path().join("away")).unwrap();
        fs::create_dir(&dir).unwrap();
        assert!(said(enter(&dir, true, Some(id))).contains("not the disk it was"));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "nothing is written");

        // A person says that it takes its place.
        fs::write(dir.join(ADOPT), b"").unwrap();
        let second = enter(&dir, true, Some(id)).unwrap();
        assert!(second.id != id && fs::metadata(dir.join(ADOPT)).is_err());
        drop(second);
        assert!(said(enter(&dir, true, Some(id))).contains("another volume's disk"));
    }
}
