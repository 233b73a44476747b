//! A camera that does exactly what a test says: a small RTSP server that answers from a description and then sends the RTP
//! packets of a script. For the quirks that a well-behaved server does not have.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Answers, and what comes after PLAY.
#[derive(Clone)]
pub struct Script {
    pub sdp: &'static str,
    /// The `RTP-Info` header of PLAY, if there is one.
    pub rtp_info: Option<&'static str>,
    /// `Content-Base` of DESCRIBE instead of the address asked for.
    pub content_base: Option<&'static str>,
    /// Status for requests whose method and path begin so.
    pub refuse: Vec<(&'static str, u16)>,
    /// Requests that get no answer.
    pub mute: &'static str,
    /// Sends this before it answers PLAY, as some cameras do with RTCP.
    pub before_play: Vec<u8>,
    pub play: Play,
    /// Sends RTP as datagrams to the ports that SETUP names.
    pub udp: bool,
    /// Sends RTP as datagrams to this group.
    pub group: Option<std::net::Ipv4Addr>,
    /// Only one kind of transport is taken; others get 461.
    pub only: Option<&'static str>,
}

type Play = Arc<dyn Fn(Wire) -> BoxFuture<'static, ()> + Send + Sync>;

impl Script {
    /// `play` gets the wire after PLAY was answered; the connection ends with it.
    pub fn new<F, T>(sdp: &'static str, play: F) -> Self
    where
        F: Fn(Wire) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        Self {
            sdp,
            rtp_info: None,
            content_base: None,
            refuse: Vec::new(),
            mute: "nothing",
            before_play: Vec::new(),
            udp: false,
            group: None,
            only: None,
            play: Arc::new(move |wire| Box::pin(play(wire))),
        }
    }
}

pub struct ScriptedCamera {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl ScriptedCamera {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut tasks = JoinSet::new();
        let log = Arc::clone(&asked);
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                clients.spawn(serve(socket, script.clone(), Arc::clone(&log)));
            }
        });
        Self {
            addr,
            asked,
            _tasks: tasks,
        }
    }

    pub fn url(&self) -> String {
        format!("rtsp://{}/stream", self.addr)
    }

    /// Methods and paths of all requests, e.g. `SETUP /stream/video`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub fn times_asked(&self, method: &str) -> usize {
        self.asked()
            .iter()
            .filter(|a| a.starts_with(method))
            .count()
    }
}

async fn serve(socket: TcpStream, script: Script, log: Arc<Mutex<Vec<String>>>) {
    let (read, write) = socket.into_split();
    let mut read = BufReader::new(read);
    let write = Arc::new(tokio::sync::Mutex::new(write));
    let mut player = JoinSet::new();
    let mut channels = 0;
    let mut datagrams: Option<(tokio::net::UdpSocket, Vec<SocketAddr>)> = None;
    let peer = read.get_ref().peer_addr().unwrap();
    loop {
        let request = tokio::select! {
            request = next_request(&mut read) => request,
            // The script is over: the camera hangs up.
            Some(_) = player.join_next() => return,
        };
        let Some((method, url, cseq, headers)) = request else {
            return;
        };
        let transport = header(&headers, "transport").unwrap_or_default();
        let path = url::Url::parse(&url)
            .map(|u| u.path().to_owned())
            .unwrap_or_default();
        let asked = format!("{method} {path}");
        log.lock().unwrap().push(asked.clone());
        if asked.starts_with(script.mute) {
            continue;
        }
        let refused = script
            .refuse
            .iter()
            .find(|(what, _)| asked.starts_with(what))
            .map(|(_, status)| *status);
        let refused = refused.or_else(|| {
            (method == "SETUP" && script.only.is_some_and(|only| !transport.contains(only)))
                .then_some(461)
        });
        let status = refused.unwrap_or(200);
        let mut answer = format!("RTSP/1.0 {status} Whatever\r\nCSeq: {cseq}\r\n");
        let mut body = "";
        match (method.as_str(), refused) {
            ("DESCRIBE", None) => {
                let base = script
                    .content_base
                    .map_or_else(|| format!("{url}/"), str::to_owned);
                body = script.sdp;
                let len = body.len();
                answer += &format!(
                    "Content-Base: {base}\r\nContent-Type: application/sdp\r\nContent-Length: {len}\r\n"
                );
            }
            ("SETUP", None) if script.group.is_some() => {
                let group = script.group.unwrap();
                // Bound to the loopback address, which is what sends to a group by that interface.
                let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
                let port = crate::support::servers::free_port() & !1;
                let (_, to) = datagrams.get_or_insert_with(|| (socket, Vec::new()));
                to.push((group, port).into());
                answer += &format!(
                    "Session: 12345678;timeout=60\r\nTransport: RTP/AVP;multicast;destination={group};port={port}-{};ttl=1\r\n",
                    port + 1
                );
            }
            ("SETUP", None) if script.udp => {
                let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
                let ours = socket.local_addr().unwrap().port();
                let theirs = transport.split_once("client_port=").unwrap().1;
                let theirs: u16 = theirs.split(['-', ';']).next().unwrap().parse().unwrap();
                let (_, to) = datagrams.get_or_insert_with(|| (socket, Vec::new()));
                to.push((peer.ip(), theirs).into());
                answer += &format!(
                    "Session: 12345678;timeout=60\r\nTransport: RTP/AVP;unicast;client_port={theirs}-{};server_port={ours}-{}\r\n",
                    theirs + 1,
                    ours + 1
                );
            }
            ("SETUP", None) => {
                let pair = format!("{channels}-{}", channels + 1);
                channels += 2;
                answer += &format!(
                    "Session: 12345678;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved={pair}\r\n"
                );
            }
            ("PLAY", None) => {
                write.lock().await.write_all(&script.before_play).await.ok();
                answer += "Session: 12345678\r\n";
                if let Some(info) = script.rtp_info {
                    answer += &format!("RTP-Info: {info}\r\n");
                }
            }
            _ => answer += "Session: 12345678\r\n",
        }
        answer += "\r\n";
        answer += body;
        if write
            .lock()
            .await
            .write_all(answer.as_bytes())
            .await
            .is_err()
        {
            return;
        }
        if method == "PLAY" && refused.is_none() {
            player.spawn((script.play)(Wire {
                write: Arc::clone(&write),
                datagrams: datagrams.take(),
                seq: [1000, 5000],
            }));
        }
    }
}

/// Value of a header, whatever its case.
fn header(lines: &[String], name: &str) -> Option<String> {
    lines.iter().find_map(|l| {
        let (key, value) = l.split_once(':')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

/// Method, URL, CSeq and headers of the next request; interleaved data from the client is read over.
async fn next_request(
    read: &mut BufReader<tokio::net::tcp::OwnedReadHalf>,
) -> Option<(String, String, String, Vec<String>)> {
    loop {
        if *read.fill_buf().await.ok()?.first()? == b'$' {
            let mut head = [0; 4];
            read.read_exact(&mut head).await.ok()?;
            let mut data = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
            read.read_exact(&mut data).await.ok()?;
            continue;
        }
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if read.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let mut words = lines.first()?.split(' ');
        let (method, url) = (words.next()?.to_owned(), words.next()?.to_owned());
        let cseq = header(&lines, "cseq")?;
        return Some((method, url, cseq, lines));
    }
}

/// Sends RTP (RFC 3550) in interleaved frames (RFC 2326 §10.12). Video is the first medium set up, sound the second.
pub struct Wire {
    write: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    datagrams: Option<(tokio::net::UdpSocket, Vec<SocketAddr>)>,
    seq: [u16; 2],
}

/// An IDR slice and a slice that is none, as far as their headers.
pub const IDR: &[u8] = &[0x65, 0x88, 0x84, 0x05, 0xe8, 0x98, 0xa0];
pub const SLICE: &[u8] = &[0x41, 0x9a, 0x20, 0x18, 0xa0, 0x14, 0x30];

impl Wire {
    pub async fn video(&mut self, timestamp: u32, nal: &[u8]) {
        self.rtp(0, 96, timestamp, true, nal).await;
    }

    pub async fn sound(&mut self, payload_type: u8, timestamp: u32, payload: &[u8]) {
        self.rtp(1, payload_type, timestamp, true, payload).await;
    }

    /// As if packets had been lost on the way.
    pub fn lose_video(&mut self, packets: u16) {
        self.seq[0] = self.seq[0].wrapping_add(packets);
    }

    pub async fn rtp(
        &mut self,
        medium: u8,
        payload_type: u8,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) {
        let packet = self.packet(medium, payload_type, timestamp, marker, payload);
        self.send(medium * 2, &packet).await;
    }

    /// The next packet of a medium, to be sent when the script likes.
    pub fn packet(
        &mut self,
        medium: u8,
        payload_type: u8,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Vec<u8> {
        let seq = &mut self.seq[usize::from(medium)];
        let mut packet = vec![0x80, payload_type | u8::from(marker) << 7];
        packet.extend(seq.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend([0xca, 0xfe, 0, medium]);
        packet.extend(payload);
        *seq = seq.wrapping_add(1);
        packet
    }

    /// On an interleaved channel, or to the port that stands for it.
    pub async fn send(&self, channel: u8, packet: &[u8]) {
        match &self.datagrams {
            Some((socket, to)) => {
                let mut to = to[usize::from(channel / 2)];
                to.set_port(to.port() + u16::from(channel % 2));
                socket.send_to(packet, to).await.ok();
            }
            None => self.raw(&interleaved(channel, packet)).await,
        }
    }

    /// A sender report (RFC 3550 §6.4.1) of the picture: at `ntp` (seconds and fraction since 1900) it was `rtp`.
    pub async fn report(&self, ntp: u64, rtp: u32) {
        let mut packet = vec![0x80, 200, 0, 6, 0xca, 0xfe, 0, 0];
        packet.extend(ntp.to_be_bytes());
        packet.extend(rtp.to_be_bytes());
        packet.extend([0; 8]);
        self.send(1, &packet).await;
    }

    pub async fn raw(&self, bytes: &[u8]) {
        self.write.lock().await.write_all(bytes).await.ok();
    }

    /// A picture each 40 ms, an IDR each ten.
    pub async fn pictures(&mut self, timestamp: u32, count: u32) {
        for n in 0..count {
            let nal = if n % 10 == 0 { IDR } else { SLICE };
            self.video(timestamp.wrapping_add(n * 3_600), nal).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }
}

pub fn interleaved(channel: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![b'$', channel];
    out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    out.extend(data);
    out
}
