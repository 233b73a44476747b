//! A camera that answers from a file: `tests/fixtures/rtsp/*.exchange`, request by request, then sends pictures in the
//! manner of the device.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::scripted::{IDR, SLICE, Wire, header, next_request};

/// How the device sends its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Plain,
    /// Each NAL unit begins with a start code, parameter sets among them.
    AnnexB,
    /// SEI with the marker, then the slice of the same time.
    MarkerOnSei,
    NoMarker,
    /// RTCP with another SSRC.
    ForeignRtcp,
}

type Answers = HashMap<String, String>;

pub struct ReplayedCamera {
    addr: SocketAddr,
    pub asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl ReplayedCamera {
    /// Pictures go to the interleaved channel `channel`.
    pub async fn start(exchange: &str, manner: Manner, channel: u8) -> Self {
        let answers = Arc::new(answers(exchange));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (answers, log) = (Arc::clone(&answers), Arc::clone(&log));
                clients.spawn(serve(socket, answers, log, manner, channel));
            }
        });
        Self {
            addr,
            asked,
            _tasks: tasks,
        }
    }

    pub fn url(&self, account: &str) -> String {
        format!("rtsp://{account}{}/live", self.addr)
    }
}

/// `METHOD` or `METHOD auth` to the answer, with the line ends of the file.
fn answers(exchange: &str) -> Answers {
    let mut out = Answers::new();
    let mut key = String::new();
    for line in exchange.lines().filter(|l| !l.starts_with('#')) {
        match line.strip_prefix("> ") {
            Some(request) => key = request.to_owned(),
            None => {
                let answer = out.entry(key.clone()).or_default();
                answer.push_str(line);
                answer.push_str("\r\n");
            }
        }
    }
    out
}

async fn serve(
    socket: TcpStream,
    answers: Arc<Answers>,
    log: Arc<Mutex<Vec<String>>>,
    manner: Manner,
    channel: u8,
) {
    let (read, write) = socket.into_split();
    let mut read = BufReader::new(read);
    let write = Arc::new(tokio::sync::Mutex::new(write));
    let mut player = JoinSet::new();
    // Methods whose challenge was sent, with the nonce that counts since.
    let mut nonce = String::new();
    while let Some((method, url, cseq, lines)) = next_request(&mut read).await {
        let signed = header(&lines, "authorization").unwrap_or_default();
        log.lock().unwrap().push(format!("{method} {signed}"));
        let with_auth = format!("{method} auth");
        let fresh = !nonce.is_empty() && signed.contains(&nonce);
        let challenge = answers
            .get(&method)
            .filter(|a| a.contains("WWW-Authenticate"));
        let newest = challenge.and_then(|c| c.split("nonce=\"").nth(1)?.split('"').next());
        let answer = match (answers.get(&with_auth), newest) {
            (Some(known), Some(asked)) if fresh && signed.contains(asked) => Some(known),
            _ => answers.get(&method),
        };
        if let (Some(asked), true) = (newest, answer == challenge) {
            asked.clone_into(&mut nonce);
        }
        let fallback = "RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n\r\n".to_owned();
        let answer = answer
            .unwrap_or(&fallback)
            .replace("{cseq}", &cseq)
            .replace("{url}", &url);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let head = head.trim_end().replace("{length}", &body.len().to_string());
        let text = format!("{head}\r\n\r\n{body}");
        if write.lock().await.write_all(text.as_bytes()).await.is_err() {
            return;
        }
        if method == "PLAY" {
            player.spawn(play(Wire::new(Arc::clone(&write), channel), manner));
        }
    }
}

async fn play(mut wire: Wire, manner: Manner) {
    use base64::Engine;
    let set = |text| {
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap()
    };
    let sets = [set("Z0LAFdoFB+wFqDAwNSgAAAMACAAAAwD0eLF1"), set("aM48gA==")];
    let coded = |nal: &[u8]| [&[0, 0, 0, 1], nal].concat();
    for n in 0..2_000u32 {
        let (key, stamp) = (n % 10 == 0, 900_000 + n * 3_600);
        let slice = if key { IDR } else { SLICE };
        match manner {
            Manner::Plain => wire.video(stamp, slice).await,
            Manner::AnnexB => {
                if key {
                    for set in &sets {
                        wire.rtp(0, 96, stamp, false, &coded(set)).await;
                    }
                }
                wire.rtp(0, 96, stamp, true, &coded(slice)).await;
            }
            Manner::MarkerOnSei => {
                // Unregistered user data: an UUID and a byte of it (H.264 §D.1.7).
                let sei = [&[6, 5, 17][..], &[0x5a; 17], &[0x80]].concat();
                wire.rtp(0, 96, stamp, true, &sei).await;
                wire.rtp(0, 96, stamp, true, slice).await;
            }
            Manner::NoMarker => wire.rtp(0, 96, stamp, false, slice).await,
            Manner::ForeignRtcp => {
                if n % 5 == 0 {
                    let mut report = vec![0x80, 200, 0, 6, 0xde, 0xad, 0xbe, 0xef];
                    report.extend([0xee; 20]);
                    wire.send(1, &report).await;
                }
                wire.video(stamp, slice).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}
