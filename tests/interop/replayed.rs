//! A server that plays a fixture: answers as the device does, checks what it is asked, and sends what the device sends.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use gstreamer::glib::{ChecksumType, compute_checksum_for_string};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use zhenbei::model::VideoCodec;

use crate::camera_test::Server;
use crate::exchange::{Device, Exchange, Manner};
use crate::footage::{self, Footage};
use crate::house::PATIENCE;
use crate::packets::{Beside, Pictures, parameter_sets};

const NONCE: &str = "5d41402abc4b2a76b9719d911017c592";
const TICK: Duration = Duration::from_millis(40);

/// Seconds of pictures, over and over.
pub fn pictures_of(codec: VideoCodec) -> Arc<Footage> {
    match codec {
        VideoCodec::H264 => footage::h264(4),
        VideoCodec::H265 => footage::h265(4),
    }
}

/// A device at a port.
pub struct Replayed {
    world: Arc<World>,
    tasks: JoinSet<()>,
}

struct World {
    device: Device,
    addr: SocketAddr,
    footage: Arc<Footage>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    /// Methods and addresses of all requests.
    asked: Vec<String>,
    /// What was asked and should not have been.
    complaints: Vec<String>,
    /// The first method of each connection with a PLAY.
    players: Vec<String>,
}

struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl Replayed {
    pub async fn start(device: Device) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let footage = pictures_of(device.codec());
        let world = Arc::new(World {
            addr: listener.local_addr().unwrap(),
            device,
            footage,
            log: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(listener, Arc::clone(&world)));
        Self { world, tasks }
    }

    pub fn asked(&self) -> Vec<String> {
        self.world.log.lock().unwrap().asked.clone()
    }

    /// What the connections began with in which PLAY was asked: each back-end has its own way.
    pub fn players(&self) -> Vec<String> {
        self.world.log.lock().unwrap().players.clone()
    }

    pub fn complaints(&self) -> Vec<String> {
        self.world.log.lock().unwrap().complaints.clone()
    }
}

impl Server for Replayed {
    fn url(&self) -> String {
        let World { device, addr, .. } = &*self.world;
        let login = device
            .says("login")
            .map_or(String::new(), |l| format!("{l}@"));
        format!("rtsp://{login}{addr}{}", device.says("path").unwrap())
    }

    async fn kill(&mut self) {
        self.tasks.shutdown().await;
    }

    async fn start_again(&mut self) {
        // Somebody's connection may have got the port in between; such do not last.
        let give_up = Instant::now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(self.world.addr).await {
                Ok(listener) => break listener,
                Err(e) => assert!(Instant::now() < give_up, "{}: {e}", self.world.addr),
            }
            tokio::time::sleep(TICK).await;
        };
        self.tasks.spawn(listen(listener, Arc::clone(&self.world)));
    }
}

async fn listen(listener: TcpListener, world: Arc<World>) {
    let mut clients = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        clients.spawn(serve(socket, Arc::clone(&world)));
        while clients.try_join_next().is_some() {}
    }
}

async fn serve(socket: TcpStream, world: Arc<World>) {
    let (read, write) = socket.into_split();
    let mut read = BufReader::new(read);
    let write = Arc::new(tokio::sync::Mutex::new(write));
    let mut player = JoinSet::new();
    let mut began_with = None;
    let mut used = vec![false; world.device.exchanges.len()];
    while let Some(request) = next_request(&mut read).await {
        let began_with = began_with.get_or_insert_with(|| request.method.clone());
        world.note(&request, began_with);
        let answer = match world.exchange(&request, &mut used) {
            Some(exchange) => {
                world.check(exchange, &request);
                let mut before = Vec::new();
                for manner in &exchange.before {
                    before.extend(Beside::new(manner).next(0));
                }
                if write.lock().await.write_all(&before).await.is_err() {
                    return;
                }
                world.answer(exchange, &request)
            }
            // Nothing special: a device that lives.
            None => format!(
                "RTSP/1.0 200 OK\r\nCSeq: {}\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n",
                request.header("CSeq").unwrap_or_default()
            ),
        };
        if write
            .lock()
            .await
            .write_all(answer.as_bytes())
            .await
            .is_err()
        {
            return;
        }
        match request.method.as_str() {
            "PLAY" if answer.starts_with("RTSP/1.0 200") => {
                let (world, write) = (Arc::clone(&world), Arc::clone(&write));
                player.spawn(async move { world.play(&write).await });
            }
            "TEARDOWN" => return,
            _ => {}
        }
    }
}

/// The next request; interleaved data from the client is read over.
async fn next_request(read: &mut BufReader<OwnedReadHalf>) -> Option<Request> {
    let mut lines: Vec<String> = Vec::new();
    loop {
        if lines.is_empty() && *read.fill_buf().await.ok()?.first()? == b'$' {
            let mut head = [0; 4];
            read.read_exact(&mut head).await.ok()?;
            let mut data = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
            read.read_exact(&mut data).await.ok()?;
            continue;
        }
        let mut line = String::new();
        if read.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match (line.trim(), lines.is_empty()) {
            ("", true) => {}
            ("", false) => break,
            (line, _) => lines.push(line.to_owned()),
        }
    }
    let mut words = lines[0].split(' ');
    let headers = lines[1..].iter().filter_map(|l| l.split_once(':'));
    Some(Request {
        method: words.next()?.to_owned(),
        url: words.next()?.to_owned(),
        headers: headers
            .map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned()))
            .collect(),
    })
}

impl World {
    fn note(&self, request: &Request, began_with: &str) {
        let asked = format!("{} {}", request.method, request.url);
        let mut log = self.log.lock().unwrap();
        if request.method == "PLAY" {
            log.players.push(began_with.to_owned());
        }
        log.asked.push(asked);
    }

    fn complain(&self, what: String) {
        self.log.lock().unwrap().complaints.push(what);
    }

    /// The first one of this method that was not used yet, or else the last one.
    fn exchange(&self, request: &Request, used: &mut [bool]) -> Option<&Exchange> {
        let all = &self.device.exchanges;
        let alike = |i: &usize| all[*i].method == request.method;
        let fresh = (0..all.len()).filter(alike).find(|i| !used[*i]);
        let chosen = fresh.or_else(|| (0..all.len()).rfind(alike));
        match chosen {
            Some(i) => {
                used[i] = true;
                Some(&all[i])
            }
            None => {
                if !matches!(
                    request.method.as_str(),
                    "OPTIONS" | "TEARDOWN" | "GET_PARAMETER"
                ) {
                    self.complain(format!(
                        "asked {}, which is not in the fixture",
                        request.method
                    ));
                }
                None
            }
        }
    }

    fn check(&self, exchange: &Exchange, request: &Request) {
        let what = format!("{} {}", request.method, request.url);
        if let Some(url) = &exchange.url {
            let right = self.filled(url, request);
            if right != request.url {
                self.complain(format!("asked {what} instead of {right}"));
            }
        }
        for (name, value) in &exchange.headers {
            let Some(given) = request.header(name) else {
                self.complain(format!("{what} without {name}"));
                continue;
            };
            let right = match value.as_str() {
                "{signed}" => self.signed(request, given),
                other => given == self.filled(other, request),
            };
            if !right {
                self.complain(format!("{what} with {name}: {given} instead of {value}"));
            }
        }
    }

    /// RFC 7617, RFC 2617 §3.2.2 and RFC 7616 §3.4 without quality of protection.
    fn signed(&self, request: &Request, given: &str) -> bool {
        let (user, password) = self.device.says("login").unwrap().split_once(':').unwrap();
        if let Some(basic) = given.strip_prefix("Basic ") {
            let right =
                base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            return basic == right;
        }
        let Some(digest) = given.strip_prefix("Digest ") else {
            return false;
        };
        let part = |key: &str| {
            digest
                .split(',')
                .filter_map(|p| p.trim().split_once('='))
                .find(|(k, _)| *k == key)
                .map(|(_, v)| v.trim_matches('"').to_owned())
        };
        // The device knows what it asked for.
        let challenge = self.device.exchanges.iter().flat_map(|e| &e.answer);
        let sha256 = challenge
            .clone()
            .any(|l| l.contains("algorithm=\"SHA-256\""))
            && !challenge.clone().any(|l| l.contains("algorithm=MD5"));
        let kind = if sha256 {
            ChecksumType::Sha256
        } else {
            ChecksumType::Md5
        };
        let h = |text: String| compute_checksum_for_string(kind, &text).unwrap();
        let (realm, nonce) = (part("realm"), part("nonce"));
        let (Some(realm), Some(nonce)) = (realm, nonce) else {
            return false;
        };
        let who = h(format!("{user}:{realm}:{password}"));
        let what = h(format!("{}:{}", request.method, request.url));
        part("username").as_deref() == Some(user)
            && part("uri").as_deref() == Some(&request.url)
            && part("response").as_deref() == Some(&h(format!("{who}:{nonce}:{what}")))
    }

    fn answer(&self, exchange: &Exchange, request: &Request) -> String {
        let lines = |all: &[String]| -> String {
            all.iter()
                .map(|l| self.filled(l, request) + "\r\n")
                .collect()
        };
        let body = lines(&exchange.body);
        let head = lines(&exchange.answer).replace("{length}", &body.len().to_string());
        format!("{head}\r\n{body}")
    }

    fn filled(&self, text: &str, request: &Request) -> String {
        let base64 = |set: &Vec<u8>| base64::engine::general_purpose::STANDARD.encode(set);
        let sets: Vec<String> = parameter_sets(&self.footage).iter().map(base64).collect();
        let asked = request.header("Transport").unwrap_or_default();
        let channels = asked.split("interleaved=").nth(1).unwrap_or_default();
        let channels = channels.split(';').next().unwrap_or_default();
        let mut text = text
            .replace("{cseq}", request.header("CSeq").unwrap_or_default())
            .replace(
                "{url}",
                &format!("rtsp://{}{}", self.addr, self.device.says("path").unwrap()),
            )
            .replace("{host}", &self.addr.to_string())
            .replace("{ip}", &self.addr.ip().to_string())
            .replace("{nonce}", NONCE)
            .replace("{channels}", channels)
            .replace("{sets}", &sets.join(","));
        for (i, set) in sets.iter().enumerate() {
            text = text.replace(&format!("{{set{i}}}"), set);
        }
        text
    }

    async fn play(&self, write: &tokio::sync::Mutex<OwnedWriteHalf>) {
        let is_video = |m: &&Manner| m.kind == "video";
        let mut video: Vec<Pictures> = (self.device.media.iter().filter(is_video))
            .map(|m| Pictures::new(m, Arc::clone(&self.footage)))
            .collect();
        let mut beside: Vec<Beside> = (self.device.media.iter().filter(|m| !is_video(m)))
            .map(Beside::new)
            .collect();
        let mut tick = tokio::time::interval(TICK);
        for n in 0.. {
            tick.tick().await;
            let mut bytes: Vec<u8> = beside.iter_mut().flat_map(|b| b.next(n)).collect();
            bytes.extend(video.iter_mut().flat_map(|v| v.next(n)));
            if write.lock().await.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }
}
