//! Headers as other programs read them.

use std::io::{Seek, SeekFrom, Write};
use std::process::Command;

use super::*;

fn entry(name: &str, bytes: u64, crc32: u32) -> ZipEntry {
    ZipEntry {
        name: name.into(),
        bytes,
        crc32,
        modified: UtcMicros::parse("2026-11-24T06:00:02Z").unwrap(),
    }
}

/// 5 GB of zeros that take no room on disk, and a small file behind them: offsets and sizes need 64 bits.
#[test]
fn a_bundle_beyond_4_gb_is_read_by_another_program() {
    let huge = 5_000_000_000_u64;
    let small = b"behind the 4 GB line";
    let layout = Layout::new(vec![
        entry("huge.bin", huge, 0),
        entry("small.txt", 20, crc32fast::hash(small)),
    ]);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let headers = layout.local_headers();
    file.write_all(&headers[0]).unwrap();
    file.seek(SeekFrom::Current(huge as i64)).unwrap();
    file.write_all(&headers[1]).unwrap();
    file.write_all(small).unwrap();
    file.write_all(&layout.directory()).unwrap();
    assert_eq!(
        file.as_file().metadata().unwrap().len(),
        layout.len(),
        "the length is known beforehand"
    );

    let script = "import sys, zipfile\n\
                  z = zipfile.ZipFile(sys.argv[1])\n\
                  print([(i.filename, i.file_size, i.date_time) for i in z.infolist()])\n\
                  print(z.read('small.txt').decode())\n";
    let out = Command::new("python3")
        .args(["-c", script])
        .arg(file.path())
        .output()
        .expect("python3 is installed");
    assert_eq!(
        String::from_utf8_lossy(&out.stdout),
        "[('huge.bin', 5000000000, (2026, 11, 24, 14, 0, 2)), ('small.txt', 20, (2026, 11, 24, 14, 0, 2))]\n\
         behind the 4 GB line\n",
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[test]
fn an_empty_bundle_is_still_a_zip() {
    let layout = Layout::new(Vec::new());
    assert_eq!(layout.directory().len(), 22);
    assert_eq!(layout.len(), 22);
}

#[test]
fn times_that_dos_cannot_say_become_its_first_day() {
    assert_eq!(dos_time(UtcMicros(0)), (0, 33));
    assert_eq!(dos_time(UtcMicros::MAX), (0, 33));
}
