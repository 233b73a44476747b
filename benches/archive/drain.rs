//! The floor: asks the cameras as a recorder does, then reads their sockets and appends the bytes unparsed, one file a camera.
//!
//! With `--sync` it makes the files durable every second, with `--hash` it takes their SHA-256: what those alone would cost.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use sha2::{Digest as _, Sha256};

const THREADS: usize = 2;
/// More than any camera has waiting; one buffer a thread, so that it stays in the processor's cache.
const BUFFER: usize = 256 << 10;

#[derive(Clone, Copy)]
pub(crate) struct Extra {
    pub(crate) sync: bool,
    pub(crate) hash: bool,
}

type Sessions = Vec<(TcpStream, Arc<File>)>;

/// Drains until standard input is closed; then prints the bytes that were written.
pub(crate) fn run(
    port: u16,
    cameras: usize,
    dir: &Path,
    extra: Extra,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut sessions: Vec<Sessions> = (0..THREADS).map(|_| Vec::new()).collect();
    let mut files = Vec::new();
    for n in 0..cameras {
        let socket = open(port, n)?;
        let file = Arc::new(File::create(dir.join(format!("camera-{n}.rtp")))?);
        files.push(Arc::clone(&file));
        sessions[n % THREADS].push((socket, file));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = sessions
        .into_iter()
        .map(|mine| {
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
            std::thread::spawn(move || drain(mine, extra.hash, &stop, &written))
        })
        .collect();
    let syncing = extra.sync.then(|| {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                for file in &files {
                    file.sync_data().ok();
                }
                std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
            }
        })
    });
    println!("ready");
    let mut orders = [0; 64];
    while std::io::stdin().read(&mut orders)? > 0 {}
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    if let Some(thread) = syncing {
        thread.join().map_err(|_| "a thread panicked")?;
    }
    println!("{}", written.load(Ordering::Relaxed));
    Ok(())
}

fn drain(
    sessions: Sessions,
    hash: bool,
    stop: &AtomicBool,
    written: &AtomicU64,
) -> std::io::Result<()> {
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    for (n, (socket, _)) in sessions.iter().enumerate() {
        socket.set_nonblocking(true)?;
        epoll::add(&poll, socket, EventData::new_u64(n as u64), EventFlags::IN)?;
    }
    let mut buffer = vec![0; BUFFER];
    let mut hashes: Vec<Sha256> = sessions.iter().map(|_| Sha256::new()).collect();
    let mut events = Vec::with_capacity(64);
    let patience = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 200_000_000,
    };
    while !stop.load(Ordering::Relaxed) {
        events.clear();
        epoll::wait(
            &poll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&patience),
        )?;
        for event in &events {
            let Ok(n) = usize::try_from(event.data.u64()) else {
                continue;
            };
            let (mut socket, file) = (&sessions[n].0, &sessions[n].1);
            match socket.read(&mut buffer) {
                Ok(0) => epoll::delete(&poll, socket)?,
                Ok(got) => {
                    if hash {
                        hashes[n].update(&buffer[..got]);
                    }
                    file.as_ref().write_all(&buffer[..got])?;
                    written.fetch_add(got as u64, Ordering::Relaxed);
                }
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => epoll::delete(&poll, socket)?,
            }
        }
    }
    Ok(())
}

fn open(port: u16, camera: usize) -> Result<TcpStream, Box<dyn std::error::Error>> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    let url = format!("rtsp://127.0.0.1:{port}/cam-{camera:03}");
    ask(
        &mut socket,
        &format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"),
    )?;
    let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1";
    ask(
        &mut socket,
        &format!("SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: 2\r\n{transport}\r\n\r\n"),
    )?;
    socket
        .write_all(format!("PLAY {url}/ RTSP/1.0\r\nCSeq: 3\r\nSession: 1\r\n\r\n").as_bytes())?;
    Ok(socket)
}

/// Waits for the end of the answer's head, and of its body if it has one.
fn ask(socket: &mut TcpStream, request: &str) -> Result<(), Box<dyn std::error::Error>> {
    socket.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0; 2048];
    loop {
        let n = socket.read(&mut byte)?;
        if n == 0 {
            return Err("the camera closed the connection".into());
        }
        answer.extend_from_slice(&byte[..n]);
        let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let length: usize = head
            .lines()
            .find_map(|l| l.strip_prefix("Content-Length: "))
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        if answer.len() >= end + 4 + length {
            return Ok(());
        }
    }
}
