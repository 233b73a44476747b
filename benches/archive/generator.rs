//! The cameras: one process, one thread, one write a picture. Pictures are sent at their own moment, each camera at its own
//! phase, as cameras do; all share one packetised clip whose headers are stamped in place before each write.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::clip::{Clip, FPS};

const PERIOD: Duration = Duration::from_micros(1_000_000 / FPS as u64);
/// How often requests are looked for. Pictures wait for nothing.
const CONTROL: Duration = Duration::from_millis(5);
const LISTENER: u64 = u64::MAX;
const ORDERS: u64 = u64::MAX - 1;
/// A camera keeps this much for a client that does not read, then leaves pictures out.
const BACKLOG: usize = 8 << 20;
/// RTCP sender reports come at this distance (RFC 3550 §6.2).
const REPORTS: u64 = 5 * FPS as u64;

struct Camera {
    socket: TcpStream,
    request: Vec<u8>,
    unsent: Vec<u8>,
    ssrc: u32,
    seq: u16,
    /// First frame of the clip that is shown: a key frame.
    first: usize,
    shown: u64,
    octets: u32,
    playing: bool,
}

#[derive(Default)]
struct Totals {
    frames: u64,
    bytes: u64,
    left_out: u64,
    latest: Duration,
}

/// Serves cameras until standard input is closed. Each line of standard input is answered with the totals so far.
pub(crate) fn run(cache: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut clip = Clip::load(cache)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let stdin = std::io::stdin();
    epoll::add(
        &poll,
        &listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    epoll::add(&poll, &stdin, EventData::new_u64(ORDERS), EventFlags::IN)?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", listener.local_addr()?.port())?;
    out.flush()?;

    let sdp = clip.sdp();
    let keys: Vec<usize> = (0..clip.frames.len())
        .filter(|n| clip.frames[*n].key)
        .collect();
    let mut cameras: HashMap<u64, Camera> = HashMap::new();
    let mut due: BinaryHeap<Reverse<(Instant, u64)>> = BinaryHeap::new();
    let mut next_id = 0u64;
    let mut totals = Totals::default();
    let mut looked = Instant::now();
    let mut events = Vec::with_capacity(64);
    loop {
        let now = Instant::now();
        while let Some(Reverse((at, id))) = due.peek().copied() {
            if at > now {
                break;
            }
            due.pop();
            let Some(camera) = cameras.get_mut(&id) else {
                continue;
            };
            if !camera.playing {
                continue;
            }
            totals.latest = totals.latest.max(now - at);
            if camera.show(&mut clip, &mut totals).is_err() {
                cameras.remove(&id);
                continue;
            }
            due.push(Reverse((at + PERIOD, id)));
        }
        if now - looked >= CONTROL {
            looked = now;
            events.clear();
            let none = rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            epoll::wait(
                &poll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&none),
            )?;
            for event in &events {
                match event.data.u64() {
                    LISTENER => {
                        while let Ok((socket, _)) = listener.accept() {
                            socket.set_nonblocking(true)?;
                            socket.set_nodelay(true)?;
                            let data = EventData::new_u64(next_id);
                            epoll::add(&poll, &socket, data, EventFlags::IN)?;
                            let first = keys[usize::try_from(next_id)? % keys.len()];
                            cameras.insert(next_id, Camera::new(socket, next_id, first));
                            next_id += 1;
                        }
                    }
                    ORDERS => {
                        let mut line = [0; 64];
                        let done = rustix::io::read(&stdin, &mut line)? == 0;
                        let playing = cameras.values().filter(|c| c.playing).count();
                        let late = totals.latest.as_millis();
                        let Totals {
                            frames,
                            bytes,
                            left_out,
                            ..
                        } = totals;
                        writeln!(out, "{playing} {frames} {bytes} {left_out} {late}")?;
                        out.flush()?;
                        totals.latest = Duration::ZERO;
                        if done {
                            return leave(&cameras);
                        }
                    }
                    id => {
                        let Some(camera) = cameras.get_mut(&id) else {
                            continue;
                        };
                        let was = camera.playing;
                        if camera.serve(&sdp).is_err() {
                            cameras.remove(&id);
                        } else if camera.playing && !was {
                            // A phase of its own for each camera, spread evenly over a period.
                            let phase = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
                            let phase = PERIOD.mul_f64(phase as f64 / (1u64 << 24) as f64);
                            due.push(Reverse((now + phase, id)));
                        }
                    }
                }
            }
        }
        let until = due
            .peek()
            .map_or(looked + CONTROL, |Reverse((at, _))| *at)
            .min(looked + CONTROL);
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

/// Lets the clients read what was sent to its end.
fn leave(cameras: &HashMap<u64, Camera>) -> Result<(), Box<dyn std::error::Error>> {
    for camera in cameras.values() {
        camera.socket.shutdown(std::net::Shutdown::Write).ok();
    }
    std::thread::sleep(Duration::from_secs(1));
    Ok(())
}

impl Camera {
    fn new(socket: TcpStream, id: u64, first: usize) -> Self {
        let ssrc = 0x5a00_0000 | u32::try_from(id & 0x00ff_ffff).unwrap_or(0);
        Self {
            socket,
            request: Vec::new(),
            unsent: Vec::new(),
            ssrc,
            seq: 1,
            first,
            shown: 0,
            octets: 0,
            playing: false,
        }
    }

    /// The next picture. An error: the client is gone.
    fn show(&mut self, clip: &mut Clip, totals: &mut Totals) -> std::io::Result<()> {
        if !self.unsent.is_empty() {
            let n = sent((&self.socket).write(&self.unsent))?;
            self.unsent.drain(..n);
        }
        let n = usize::try_from(self.shown).unwrap_or(0);
        let frame = (self.first + n) % clip.frames.len();
        let time = u32::try_from((self.shown * 3_600) & u64::from(u32::MAX)).unwrap_or(0);
        self.seq = clip.stamp(frame, self.seq, time, self.ssrc);
        let frame = &clip.frames[frame];
        let bytes = &clip.bytes[frame.from..frame.to];
        if self.unsent.len() > BACKLOG {
            totals.left_out += 1;
        } else {
            let n = if self.unsent.is_empty() {
                sent((&self.socket).write(bytes))?
            } else {
                0
            };
            self.unsent.extend_from_slice(&bytes[n..]);
            totals.frames += 1;
            totals.bytes += bytes.len() as u64;
        }
        self.shown += 1;
        self.octets = self
            .octets
            .wrapping_add(u32::try_from(bytes.len()).unwrap_or(0));
        if self.shown % REPORTS == 1 && self.unsent.is_empty() {
            self.report(time)?;
        }
        Ok(())
    }

    /// RTCP sender report (RFC 3550 §6.4.1) on channel 1.
    #[allow(clippy::disallowed_methods, reason = "a camera has a clock of its own")]
    fn report(&mut self, time: u32) -> std::io::Result<()> {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let seconds = u32::try_from((now.as_secs() + 2_208_988_800) & 0xffff_ffff).unwrap_or(0);
        let fraction = (u64::from(now.subsec_nanos()) << 32) / 1_000_000_000;
        let mut report = vec![b'$', 1, 0, 28, 0x80, 200, 0, 6];
        for field in [
            self.ssrc,
            seconds,
            u32::try_from(fraction).unwrap_or(0),
            time,
            u32::from(self.seq),
            self.octets,
        ] {
            report.extend_from_slice(&field.to_be_bytes());
        }
        let n = sent((&self.socket).write(&report))?;
        self.unsent.extend_from_slice(&report[n..]);
        Ok(())
    }

    /// Reads and answers requests; skips what the client sends on the interleaved channels.
    fn serve(&mut self, sdp: &str) -> std::io::Result<()> {
        let mut buffer = [0; 4096];
        match (&self.socket).read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => self.request.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        }
        loop {
            if let [b'$', _, a, b, rest @ ..] = self.request.as_slice() {
                let n = usize::from(u16::from_be_bytes([*a, *b]));
                if rest.len() < n {
                    return Ok(());
                }
                self.request.drain(..4 + n);
                continue;
            }
            let Some(end) = self.request.windows(4).position(|w| w == b"\r\n\r\n") else {
                return Ok(());
            };
            let text: Vec<u8> = self.request.drain(..end + 4).collect();
            let text = String::from_utf8_lossy(&text).into_owned();
            self.answer(&text, sdp)?;
        }
    }

    fn answer(&mut self, request: &str, sdp: &str) -> std::io::Result<()> {
        let mut words = request.split(' ');
        let (method, url) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let header = |name: &str| {
            request
                .lines()
                .find(|l| {
                    l.get(..name.len())
                        .is_some_and(|n| n.eq_ignore_ascii_case(name))
                })
                .and_then(|l| l.split_once(':'))
                .map_or("", |(_, value)| value.trim())
        };
        let url = url.trim_end_matches('/');
        let (more, body) = match method {
            "OPTIONS" => (
                "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN\r\n".to_owned(),
                "",
            ),
            "DESCRIBE" => (
                format!(
                    "Content-Base: {url}/\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n",
                    sdp.len()
                ),
                sdp,
            ),
            "SETUP" => (
                format!(
                    "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc={:08x}\r\nSession: {:08x};timeout=60\r\n",
                    self.ssrc, self.ssrc
                ),
                "",
            ),
            "PLAY" => (
                format!(
                    "Session: {:08x}\r\nRTP-Info: url={url}/trackID=0;seq={};rtptime=0\r\n",
                    self.ssrc, self.seq
                ),
                "",
            ),
            _ => (String::new(), ""),
        };
        let answer = format!(
            "RTSP/1.0 200 OK\r\nCSeq: {}\r\n{more}\r\n{body}",
            header("CSeq")
        );
        (&self.socket).write_all(answer.as_bytes())?;
        match method {
            "PLAY" => self.playing = true,
            "TEARDOWN" => return Err(ErrorKind::ConnectionAborted.into()),
            _ => {}
        }
        Ok(())
    }
}

fn sent(result: std::io::Result<usize>) -> std::io::Result<usize> {
    match result {
        Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
