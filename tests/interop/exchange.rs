//! Reads `tests/fixtures/rtsp/*.txt`: what a device answers, and how it sends its packets.
//!
//! `tests/fixtures/rtsp/README.md` is the manual of the notation.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use zhenbei::model::VideoCodec;

/// One device with one quirk.
#[derive(Clone, Debug)]
pub struct Device {
    /// The file's name without its ending.
    pub name: String,
    /// Keys and values of the head.
    pub head: HashMap<String, String>,
    pub exchanges: Vec<Exchange>,
    /// What is sent after PLAY.
    pub media: Vec<Manner>,
}

/// A request that must come, and its answer.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    pub method: String,
    /// With placeholders; any address is right if there is none.
    pub url: Option<String>,
    pub headers: Vec<(String, String)>,
    /// Sent before the answer.
    pub before: Vec<Manner>,
    pub answer: Vec<String>,
    pub body: Vec<String>,
}

/// How packets of one kind are sent.
#[derive(Clone, Debug)]
pub struct Manner {
    pub kind: String,
    settings: HashMap<String, String>,
}

impl Manner {
    pub fn word(&self, key: &str, default: &str) -> String {
        let found = self.settings.get(key);
        found.map_or(default, String::as_str).to_owned()
    }

    pub fn number(&self, key: &str, default: u32) -> u32 {
        self.settings.get(key).map_or(default, |text| {
            let parsed = match text.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => text.parse(),
            };
            parsed.unwrap_or_else(|e| panic!("{key}={text}: {e}"))
        })
    }
}

/// What must happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every picture is recorded.
    Record,
    /// Nothing is, and the camera's state says this: kind of the fault, and words of its message.
    Refuse { kind: String, words: String },
}

impl Device {
    /// All of them, in order of their names.
    pub fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rtsp");
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "txt"))
            .collect();
        files.sort();
        files.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        Self::parse(name, &text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut device = Self {
            name: name.to_owned(),
            head: HashMap::new(),
            exchanges: Vec::new(),
            media: Vec::new(),
        };
        // An address's headers may follow only until its answer begins.
        let mut answering = true;
        for (index, line) in text.lines().enumerate() {
            let bad = |what: &str| format!("line {}: {what}: {line}", index + 1);
            let (mark, rest) = line.split_at_checked(1).unwrap_or(("", ""));
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            let last = device.exchanges.last_mut();
            match mark {
                "" => {}
                "#" => {
                    let (key, value) = rest
                        .split_once(": ")
                        .ok_or_else(|| bad("no `key: value`"))?;
                    device.head.insert(key.to_owned(), value.trim().to_owned());
                }
                ">" if answering => {
                    answering = false;
                    let mut words = rest.split(' ');
                    device.exchanges.push(Exchange {
                        method: words.next().unwrap_or_default().to_owned(),
                        url: words.next().map(str::to_owned),
                        ..Exchange::default()
                    });
                }
                ">" => {
                    let header = rest.split_once(": ").ok_or_else(|| bad("no header"))?;
                    let to = last.ok_or_else(|| bad("no request yet"))?;
                    to.headers.push((header.0.to_owned(), header.1.to_owned()));
                }
                "<" => {
                    answering = true;
                    let to = last.ok_or_else(|| bad("no request yet"))?;
                    to.answer.push(rest.to_owned());
                }
                "=" => {
                    let to = last.ok_or_else(|| bad("no request yet"))?;
                    to.body.push(rest.to_owned());
                }
                "~" => {
                    let manner = manner(rest).ok_or_else(|| bad("no `kind key=value …`"))?;
                    if answering {
                        device.media.push(manner);
                    } else {
                        last.ok_or_else(|| bad("no request yet"))?
                            .before
                            .push(manner);
                    }
                }
                _ => return Err(bad("begins with none of # > < = ~")),
            }
        }
        for key in ["device", "quirk", "must", "path"] {
            if !device.head.contains_key(key) {
                return Err(format!("its head does not say `{key}`"));
            }
        }
        Ok(device)
    }

    pub fn says(&self, key: &str) -> Option<&str> {
        self.head.get(key).map(String::as_str)
    }

    pub fn outcome(&self) -> Outcome {
        let must = self.says("must").unwrap();
        if must == "record" {
            return Outcome::Record;
        }
        let fault = must
            .strip_prefix("refuse ")
            .and_then(|m| m.split_once(": "));
        let (kind, words) = fault.unwrap_or_else(|| {
            panic!(
                "{}: must is neither `record` nor `refuse <kind>: <words>`",
                self.name
            )
        });
        Outcome::Refuse {
            kind: kind.to_owned(),
            words: words.to_owned(),
        }
    }

    pub fn codec(&self) -> VideoCodec {
        match self.says("codec") {
            None | Some("h264") => VideoCodec::H264,
            Some("h265") => VideoCodec::H265,
            Some(other) => panic!("{}: codec {other}", self.name),
        }
    }
}

fn manner(text: &str) -> Option<Manner> {
    let mut words = text.split(' ');
    let kind = words.next().filter(|k| !k.is_empty())?.to_owned();
    let settings = words
        .map(|w| w.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())))
        .collect::<Option<_>>()?;
    Some(Manner { kind, settings })
}

#[test]
fn what_is_not_in_the_notation_is_refused() {
    let head = "# device: a\n# quirk: b\n# must: record\n# path: /\n";
    let whole = format!(
        "{head}\n> PLAY {{url}}\n> Session: 1\n~ report channel=1\n< RTSP/1.0 200 OK\n~ video pt=96\n"
    );
    let device = Device::parse("d", &whole).unwrap();
    let play = &device.exchanges[0];
    assert_eq!(
        (play.headers.len(), play.before.len(), play.answer.len()),
        (1, 1, 1)
    );
    assert_eq!(device.media[0].number("pt", 0), 96);
    for bad in [
        "# device: a\n# quirk: b\n# must: record\n",
        &format!("{head}! what\n"),
        &format!("{head}< RTSP/1.0 200 OK\n"),
        &format!("{head}# nothing\n"),
        &format!("{head}> PLAY\n> Session\n"),
        &format!("{head}> PLAY\n< RTSP/1.0 200 OK\n~ video marker\n"),
    ] {
        assert!(Device::parse("d", bad).is_err(), "{bad}");
    }
}
