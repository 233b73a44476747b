//! What a gigabyte of clip costs this process, beside the floor: `sendfile` of the same recorded file to the same kind of reader.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::web::Client;

const WORD: &str = "drain";

pub struct Cost {
    /// Seconds of processor a GB.
    pub cpu: f64,
    pub wall: f64,
}

pub struct Price {
    pub clip: Cost,
    pub sendfile: Cost,
}

/// The reader is this program again, in a process of its own: its time is not ours. True when this is the reader.
pub fn drains() -> bool {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_none_or(|a| a != WORD) {
        return false;
    }
    let mut socket = TcpStream::connect(&args[2]).unwrap();
    socket.write_all(args[3].as_bytes()).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0usize;
    loop {
        match socket.read(&mut buffer).unwrap() {
            0 => break,
            n => total += n,
        }
    }
    println!("{total}");
    true
}

fn drain(address: &str, request: &str) -> usize {
    let out = Command::new(std::env::current_exe().unwrap())
        .args([WORD, address, request])
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

/// User and system time of this process, in seconds: fields 14 and 15 of proc(5) stat, in ticks of 10 ms.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

fn cost(bytes: usize, cpu_before: f64, begun: Instant) -> Cost {
    let gb = bytes as f64 / 1e9;
    Cost {
        cpu: (cpu() - cpu_before) / gb,
        wall: begun.elapsed().as_secs_f64() / gb,
    }
}

pub async fn measure(client: &Client, path: &str, dir: &Path, gb: usize) -> Price {
    let (address, request) = (client.address.clone(), client.request(path));
    let clip = tokio::task::spawn_blocking(move || {
        drain(&address, &request);
        let (before, begun) = (cpu(), Instant::now());
        let mut bytes = 0;
        while bytes < gb * 1_000_000_000 {
            bytes += drain(&address, &request);
        }
        cost(bytes, before, begun)
    })
    .await
    .unwrap();
    let file = largest(&dir.join("archive")).expect("a recorded file");
    let sendfile = tokio::task::spawn_blocking(move || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let reader = std::thread::spawn(move || drain(&address, "x"));
        let (mut socket, _) = listener.accept().unwrap();
        let mut first = [0];
        socket.read_exact(&mut first).unwrap();
        let (before, begun) = (cpu(), Instant::now());
        let file = File::open(file).unwrap();
        let len = file.metadata().unwrap().len();
        let mut bytes = 0;
        while bytes < gb * 1_000_000_000 {
            let mut offset = 0;
            while offset < len {
                let left = usize::try_from(len - offset).unwrap();
                bytes += rustix::fs::sendfile(&socket, &file, Some(&mut offset), left).unwrap();
            }
        }
        let cost = cost(bytes, before, begun);
        drop(socket);
        reader.join().unwrap();
        cost
    })
    .await
    .unwrap();
    Price { clip, sendfile }
}

fn largest(dir: &Path) -> Option<std::path::PathBuf> {
    let mut best: Option<(u64, std::path::PathBuf)> = None;
    let mut todo = vec![dir.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).ok()?.flatten() {
            let meta = entry.metadata().ok()?;
            if meta.is_dir() {
                todo.push(entry.path());
            } else if best.as_ref().is_none_or(|(len, _)| meta.len() > *len) {
                best = Some((meta.len(), entry.path()));
            }
        }
    }
    best.map(|(_, path)| path)
}
