//! A lean camera: an RTSP server that replays encoded pictures in real time, marks each with its number and remembers what it
//! sent. Pictures are numbered by the time, sent or not, so that a missing second is 25 missing numbers.
//!
//! Faults on demand: the power goes, the link is cut, packets are lost, another picture size after a reboot.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::footage::Footage;

/// Pictures a second.
pub const RATE: u64 = 25;
/// Length of one picture in µs.
pub const PICTURE: i64 = 40_000;
/// Begins the mark that each picture carries in an SEI message of its own.
pub const MARK: &[u8; 16] = b"zhenbei-test-pic";
const LARGEST_PACKET: usize = 1_400;

/// What was sent under one number.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Of the access unit as our files hold it: NAL units with their lengths.
    pub sha256: [u8; 32],
    pub at: Instant,
    /// A packet of it was lost on purpose.
    pub hurt: bool,
}

#[derive(Default)]
pub struct Log {
    pub sent: Mutex<BTreeMap<u64, Sent>>,
    pub packets_lost: AtomicU64,
    pub sessions: AtomicU64,
}

pub struct Camera {
    pub name: String,
    pub port: u16,
    pub log: Arc<Log>,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    power: CancellationToken,
}

struct Shared {
    footage: Mutex<Arc<Footage>>,
    born: Instant,
    log: Arc<Log>,
    /// Packets lost in a thousand.
    loss: AtomicU32,
    /// Sessions are cut when it changes.
    cut: Mutex<CancellationToken>,
    frozen: AtomicBool,
}

impl Camera {
    pub async fn start(name: &str, footage: Arc<Footage>) -> Self {
        let log = Arc::new(Log::default());
        let shared = Arc::new(Shared {
            footage: Mutex::new(footage),
            born: Instant::now(),
            log: Arc::clone(&log),
            loss: AtomicU32::new(0),
            cut: Mutex::default(),
            frozen: AtomicBool::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut camera = Self {
            name: name.to_owned(),
            port: listener.local_addr().unwrap().port(),
            log,
            shared,
            tasks: JoinSet::new(),
            power: CancellationToken::new(),
        };
        camera.serve(listener);
        camera
    }

    pub fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/main", self.port)
    }

    fn serve(&mut self, listener: TcpListener) {
        let (shared, power) = (Arc::clone(&self.shared), self.power.clone());
        self.tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            loop {
                tokio::select! {
                    () = power.cancelled() => break,
                    accepted = listener.accept() => {
                        let Ok((socket, peer)) = accepted else { continue };
                        let cut = shared.cut.lock().unwrap().clone();
                        let (shared, power) = (Arc::clone(&shared), power.clone());
                        sessions.spawn(async move {
                            tokio::select! {
                                () = power.cancelled() => {}
                                () = cut.cancelled() => {}
                                _ = session(socket, peer, &shared) => {}
                            }
                        });
                    }
                    Some(_) = sessions.join_next() => {}
                }
            }
            sessions.shutdown().await;
        });
    }

    /// The power goes: connections are cut, the port is closed.
    pub async fn power_off(&mut self) {
        self.power.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Comes back on its port, perhaps with another picture.
    pub async fn power_on(&mut self, footage: Option<Arc<Footage>>) {
        if let Some(footage) = footage {
            *self.shared.footage.lock().unwrap() = footage;
        }
        self.power = CancellationToken::new();
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", self.port)).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        self.serve(listener);
    }

    /// Every connection breaks; the camera itself goes on.
    pub fn cut_link(&self) {
        let mut cut = self.shared.cut.lock().unwrap();
        std::mem::take(&mut *cut).cancel();
    }

    /// Loses so many packets in a thousand.
    pub fn lose(&self, per_mille: u32) {
        self.shared.loss.store(per_mille, Ordering::Relaxed);
    }

    /// Pictures stop; the connection stays.
    pub fn freeze(&self, frozen: bool) {
        self.shared.frozen.store(frozen, Ordering::Relaxed);
    }

    pub fn sent(&self) -> BTreeMap<u64, Sent> {
        self.log.sent.lock().unwrap().clone()
    }
}

fn describe(f: &Footage) -> String {
    // avcC (ISO/IEC 14496-15 §5.3.3.1): five bytes, number of SPS, each with its length; number of PPS, each with its length.
    let record = &f.params.extra_data;
    let (mut at, mut sets) = (6, Vec::new());
    for group in 0..2 {
        let n = if group == 0 {
            record[5] & 31
        } else {
            at += 1;
            record[at - 1]
        };
        for _ in 0..n {
            let len = usize::from(u16::from_be_bytes([record[at], record[at + 1]]));
            sets.push(&record[at + 2..at + 2 + len]);
            at += 2 + len;
        }
    }
    let b64 = |b: &[u8]| base64::engine::general_purpose::STANDARD.encode(b);
    let sprop: Vec<String> = sets.iter().map(|s| b64(s)).collect();
    let profile = hex::encode(&sets[0][1..4]);
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=lean\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n\
         m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
         a=fmtp:96 packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={}\r\na=control:trackID=0\r\n",
        sprop.join(",")
    )
}

/// One RTSP connection, RTP interleaved in it (RFC 2326 §10.12).
async fn session(
    socket: TcpStream,
    _peer: SocketAddr,
    shared: &Arc<Shared>,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let (read, mut write) = socket.into_split();
    let mut read = BufReader::new(read);
    let mut playing: Option<Player> = None;
    // Outlives a turn of the loop: a line of which only a part has come is not lost when a picture is due.
    let mut line = Vec::new();
    loop {
        let wait = async {
            match &mut playing {
                Some(player) => tokio::time::sleep_until(player.next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            n = read.read_until(b'\n', &mut line) => {
                if n? == 0 {
                    return Ok(());
                }
                if line.first() == Some(&b'$') {
                    // Receiver reports of the client: `$`, channel, length, packet. Passed over.
                    let mut bytes = std::mem::take(&mut line);
                    while bytes.len() < 4 {
                        bytes.push(read.read_u8().await?);
                    }
                    let len = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
                    let left = (4 + len).saturating_sub(bytes.len());
                    let mut rest = vec![0; left];
                    read.read_exact(&mut rest).await?;
                    continue;
                }
                let head = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
                let mut cseq = String::from("0");
                loop {
                    let mut header = String::new();
                    if read.read_line(&mut header).await? == 0 {
                        return Ok(());
                    }
                    let header = header.trim();
                    if header.is_empty() {
                        break;
                    }
                    if let Some((name, value)) = header.split_once(':')
                        && name.eq_ignore_ascii_case("cseq")
                    {
                        value.trim().clone_into(&mut cseq);
                    }
                }
                let method = head.split(' ').next().unwrap_or_default();
                let (extra, body) = match method {
                    "OPTIONS" => ("Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN\r\n", String::new()),
                    "DESCRIBE" => {
                        let footage = Arc::clone(&shared.footage.lock().unwrap());
                        ("Content-Type: application/sdp\r\n", describe(&footage))
                    }
                    "SETUP" => ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=2A2A2A2A\r\n", String::new()),
                    _ => ("", String::new()),
                };
                let answer = format!(
                    "RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nSession: 1;timeout=60\r\n{extra}Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                write.write_all(answer.as_bytes()).await?;
                match method {
                    "PLAY" => playing = Some(Player::new(shared)),
                    "TEARDOWN" => return Ok(()),
                    _ => {}
                }
            }
            () = wait => {
                if let Some(player) = &mut playing {
                    player.send(&mut write, shared).await?;
                }
            }
        }
    }
}

struct Player {
    number: u64,
    next: Instant,
    sequence: u16,
    footage: Arc<Footage>,
    random: u64,
}

impl Player {
    /// Begins with the next key frame that is due, as cameras do.
    fn new(shared: &Arc<Shared>) -> Self {
        let session = shared.log.sessions.fetch_add(1, Ordering::Relaxed);
        let footage = Arc::clone(&shared.footage.lock().unwrap());
        let elapsed = u64::try_from(shared.born.elapsed().as_micros()).unwrap();
        let number = (elapsed / PICTURE.unsigned_abs() / RATE + 1) * RATE;
        Self {
            number,
            next: shared.born + Duration::from_micros(number * PICTURE.unsigned_abs()),
            sequence: 0,
            footage,
            random: session.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    fn chance(&mut self, per_mille: u32) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 1_000 < u64::from(per_mille)
    }

    async fn send(
        &mut self,
        write: &mut tokio::net::tcp::OwnedWriteHalf,
        shared: &Arc<Shared>,
    ) -> std::io::Result<()> {
        let number = self.number;
        self.number += 1;
        self.next += Duration::from_micros(PICTURE.unsigned_abs());
        if shared.frozen.load(Ordering::Relaxed) {
            return Ok(());
        }
        let pictures = &self.footage.video;
        let (_, _, data) = &pictures[usize::try_from(number).unwrap() % pictures.len()];
        let unit = marked(number, data);
        let loss = shared.loss.load(Ordering::Relaxed);
        // RTP time of the camera's own clock, which no session resets.
        let time = u32::try_from(number * 90_000 / RATE % (1 << 32)).unwrap();
        let mut bytes = Vec::with_capacity(unit.len() + 200);
        let (mut hurt, nals) = (false, nals(&unit));
        for (i, nal) in nals.iter().enumerate() {
            let last = i + 1 == nals.len();
            let payloads = payloads(nal);
            for (j, payload) in payloads.iter().enumerate() {
                let marker = last && j + 1 == payloads.len();
                let sequence = self.sequence;
                self.sequence = sequence.wrapping_add(1);
                if loss > 0 && self.chance(loss) {
                    hurt = true;
                    shared.log.packets_lost.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let len = u16::try_from(12 + payload.len()).unwrap();
                bytes.extend([b'$', 0]);
                bytes.extend(len.to_be_bytes());
                bytes.extend([0x80, 96 | if marker { 0x80 } else { 0 }]);
                bytes.extend(sequence.to_be_bytes());
                bytes.extend(time.to_be_bytes());
                bytes.extend(0x2a2a_2a2au32.to_be_bytes());
                bytes.extend(payload);
            }
        }
        let sent = Sent {
            sha256: Sha256::digest(&unit).into(),
            at: Instant::now(),
            hurt,
        };
        // Before it is on its way: what is recorded must have been sent.
        shared.log.sent.lock().unwrap().insert(number, sent);
        write.write_all(&bytes).await
    }
}

/// The access unit with an SEI message (user data, unregistered) before it that carries the number.
fn marked(number: u64, unit: &[u8]) -> Vec<u8> {
    let mut sei = vec![6, 5, 36];
    sei.extend(MARK);
    // In letters: nothing that would need emulation prevention.
    sei.extend(format!("{number:020}").bytes());
    sei.push(0x80);
    let mut out = Vec::with_capacity(unit.len() + sei.len() + 4);
    out.extend(u32::try_from(sei.len()).unwrap().to_be_bytes());
    out.extend(sei);
    out.extend(unit);
    out
}

/// The number that a recorded access unit carries.
pub fn number_of(unit: &[u8]) -> Option<u64> {
    let at = unit.windows(MARK.len()).position(|w| w == MARK)? + MARK.len();
    std::str::from_utf8(unit.get(at..at + 20)?)
        .ok()?
        .parse()
        .ok()
}

fn nals(unit: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut out) = (unit, Vec::new());
    while let Some((len, tail)) = rest.split_first_chunk::<4>() {
        let (nal, tail) = tail.split_at(usize::try_from(u32::from_be_bytes(*len)).unwrap());
        out.push(nal);
        rest = tail;
    }
    out
}

/// RFC 6184 §5.6 and §5.8: a packet, or fragmentation units.
fn payloads(nal: &[u8]) -> Vec<Vec<u8>> {
    if nal.len() <= LARGEST_PACKET {
        return vec![nal.to_vec()];
    }
    let (header, body) = (nal[0], &nal[1..]);
    let n = body.chunks(LARGEST_PACKET).count();
    body.chunks(LARGEST_PACKET)
        .enumerate()
        .map(|(i, chunk)| {
            let edges = if i == 0 { 0x80 } else { 0 } | if i + 1 == n { 0x40 } else { 0 };
            let mut out = vec![header & 0xe0 | 28, edges | header & 0x1f];
            out.extend(chunk);
            out
        })
        .collect()
}
