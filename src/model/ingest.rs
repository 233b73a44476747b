//! How a camera is spoken to: the way its packets travel, and what of its misbehaviour is borne.
//!
//! Each tolerance is a policy with a name and named values; the first value of each list is what a camera gets that says
//! nothing. The words are the same in site files, in the API and in the database.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An enum whose values are words; the first is the default.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $(#[$first_doc:meta])* $first:ident = $first_word:literal, $($(#[$value_doc:meta])* $value:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $(#[$first_doc])*
            #[default]
            #[serde(rename = $first_word)]
            $first,
            $($(#[$value_doc])* #[serde(rename = $word)] $value,)*
        }

        impl $name {
            pub const ALL: &'static [Self] = &[Self::$first, $(Self::$value),*];

            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_word,
                    $(Self::$value => $word,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text).ok_or_else(|| {
                    let words: Vec<_> = Self::ALL.iter().map(|v| format!("`{v}`")).collect();
                    let shown: String = text.chars().take(40).collect();
                    format!("`{shown}` is none of {}", words.join(", "))
                })
            }
        }
    };
}

words! {
    /// How RTP travels.
    Transport {
        /// Interleaved in the RTSP connection (RFC 2326 §10.12): passes every firewall, loses nothing.
        Tcp = "tcp",
        /// TCP first; what the address or the camera's answer (461) asks for otherwise, and then what worked.
        Auto = "auto",
        /// Datagrams to a pair of ports of ours.
        Udp = "udp",
        /// RTSP inside two HTTP connections, for networks that pass nothing else.
        Http = "http",
        /// RTSP over TLS (`rtsps`), packets interleaved.
        Tls = "tls",
        /// Datagrams to a group; several daemons watch for the price of one stream.
        Multicast = "multicast",
    }
}

words! {
    /// When the session is ended at the camera.
    TeardownPolicy {
        /// Once over the same connection; until it is answered for cameras known to keep sessions.
        Auto = "auto",
        /// Until it is answered or the session must have run out.
        Always = "always",
        /// Never; the connection is closed. For cameras that crash on TEARDOWN.
        Never = "never",
    }
}

words! {
    /// What `rtptime` of RTP-Info is used for.
    InitialTimestampPolicy {
        /// Sets sound and picture in relation where it is given for both.
        Permissive = "permissive",
        /// Must be given.
        Require = "require",
        /// Not believed.
        Ignore = "ignore",
    }
}

words! {
    /// What `seq` of RTP-Info is used for.
    InitialSequencePolicy {
        /// Believed, unless it is 0 or 1: some cameras always say so.
        IgnoreSuspicious = "ignore_suspicious",
        /// Always believed: packets lost before the first one are counted.
        Respect = "respect",
        /// Never believed.
        Ignore = "ignore",
    }
}

words! {
    /// RTCP of a sender that sends no RTP.
    UnknownRtcpSsrcPolicy {
        /// Not used.
        Drop = "drop",
        /// Used as if it were of the right sender, for cameras that mix them up.
        Process = "process",
        /// Ends the session.
        Abort = "abort",
    }
}

words! {
    /// Data on an interleaved channel that nobody set up.
    UnassignedChannelPolicy {
        /// Ignored, but taken for an old session's data from servers known for it.
        Auto = "auto",
        /// Ignored.
        Ignore = "ignore",
        /// Taken for an old session's data: waits until the camera lets go of it.
        StaleSession = "stale_session",
        /// Ends the session.
        Abort = "abort",
    }
}

words! {
    /// A camera that names another session in a later answer.
    SessionIdPolicy {
        /// Ends the session.
        RequireMatch = "require_match",
        /// The first name counts.
        UseFirst = "use_first",
    }
}

words! {
    /// RTP time stamps that jump against the clock.
    TimestampJumpPolicy {
        /// Ends the session; the next one begins a new file.
        NewSession = "new_session",
        /// Goes on in the same session from the time of arrival, for cameras that set their clock often.
        Rebase = "rebase",
    }
}

words! {
    /// Signs of life between PLAY and TEARDOWN.
    KeepalivePolicy {
        /// What the camera says it takes, before half its time-out.
        Auto = "auto",
        /// None: for cameras that hang up on them and need none. Uses the second back-end.
        Off = "off",
    }
}

words! {
    /// Who speaks with the camera.
    BackendPolicy {
        /// This process where it can, a worker for the rest.
        Auto = "auto",
        /// A worker also over TCP: for cameras that put start codes into RTP, or whose nonce is stale at once.
        Worker = "worker",
    }
}

words! {
    /// The camera's sound.
    SoundPolicy {
        Take = "take",
        /// Not asked for.
        LeaveOut = "leave_out",
    }
}

/// Whose certificate is believed when the transport is TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TlsPolicy {
    /// Signed by an authority this machine trusts, for the host of the address.
    #[default]
    System,
    /// Exactly the certificate with this SHA-256, whoever signed it: `sha256:` and 64 hex digits.
    Pinned([u8; 32]),
    /// Any. Keeps listeners out, but not impostors.
    Insecure,
    /// What was written is none of these: nobody is believed, and [`CameraPolicies::check`] refuses it.
    Unreadable,
}

impl fmt::Display for TlsPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Insecure => f.write_str("insecure"),
            Self::Unreadable => f.write_str("unreadable"),
            Self::Pinned(hash) => write!(f, "sha256:{}", hex::encode(hash)),
        }
    }
}

const LIKE: &str = "tls must be `system`, `insecure`, or `sha256:` and the 64 hex digits of the certificate's fingerprint";

impl FromStr for TlsPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "system" => return Ok(Self::System),
            "insecure" => return Ok(Self::Insecure),
            _ => {}
        }
        let digits = text.strip_prefix("sha256:").ok_or(LIKE)?;
        // `openssl x509 -fingerprint` puts colons between.
        let digits: String = digits.chars().filter(|c| *c != ':').collect();
        let mut hash = [0; 32];
        hex::decode_to_slice(&digits, &mut hash).map_err(|_| LIKE)?;
        Ok(Self::Pinned(hash))
    }
}

impl Serialize for TlsPolicy {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TlsPolicy {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        // What a key takes is asked with made-up texts: which of them are right is said by `check`.
        Ok(String::deserialize(d)?.parse().unwrap_or(Self::Unreadable))
    }
}

/// Every tolerance of one camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CameraPolicies {
    pub tls: TlsPolicy,
    pub teardown: TeardownPolicy,
    pub initial_timestamp: InitialTimestampPolicy,
    pub initial_seq: InitialSequencePolicy,
    pub unknown_rtcp_ssrc: UnknownRtcpSsrcPolicy,
    pub unassigned_channel: UnassignedChannelPolicy,
    pub session_id: SessionIdPolicy,
    pub timestamp_jump: TimestampJumpPolicy,
    pub keepalive: KeepalivePolicy,
    pub backend: BackendPolicy,
    pub sound: SoundPolicy,
    /// How long a datagram is waited for that others overtook.
    pub reorder_wait_ms: u16,
}

/// Longest wait for an overtaken datagram; more is delay for everyone who watches.
const LONGEST_REORDER_MS: u16 = 5_000;

impl Default for CameraPolicies {
    fn default() -> Self {
        Self {
            tls: TlsPolicy::default(),
            teardown: TeardownPolicy::default(),
            initial_timestamp: InitialTimestampPolicy::default(),
            initial_seq: InitialSequencePolicy::default(),
            unknown_rtcp_ssrc: UnknownRtcpSsrcPolicy::default(),
            unassigned_channel: UnassignedChannelPolicy::default(),
            session_id: SessionIdPolicy::default(),
            timestamp_jump: TimestampJumpPolicy::default(),
            keepalive: KeepalivePolicy::default(),
            backend: BackendPolicy::default(),
            sound: SoundPolicy::default(),
            reorder_wait_ms: 200,
        }
    }
}

impl CameraPolicies {
    /// `Err` says what cannot be, for a person.
    pub fn check(&self) -> Result<(), String> {
        if self.tls == TlsPolicy::Unreadable {
            return Err(LIKE.into());
        }
        if self.reorder_wait_ms > LONGEST_REORDER_MS {
            return Err(format!(
                "reorder_wait_ms must be 0 to {LONGEST_REORDER_MS}, not {}",
                self.reorder_wait_ms
            ));
        }
        Ok(())
    }

    /// Only what differs from the default, so that defaults may improve.
    pub fn to_json(&self) -> serde_json::Value {
        let value = |p: &Self| serde_json::to_value(p).unwrap_or_default();
        let (mut own, usual) = (value(self), value(&Self::default()));
        if let Some(own) = own.as_object_mut() {
            own.retain(|key, v| usual.get(key) != Some(v));
        }
        own
    }
}

/// Whether a camera's address and its transport can go together.
pub fn check_transport(scheme: &str, transport: Transport) -> Result<(), String> {
    match (scheme, transport) {
        ("rtsps", Transport::Tls | Transport::Auto) | ("rtsp", _) => Ok(()),
        ("rtsps", other) => Err(format!(
            "an rtsps:// address goes with transport `tls` or `auto`, not `{other}`"
        )),
        (other, _) => Err(format!(
            "an address begins with rtsp:// or rtsps://, not {other}://"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_it_is_written() {
        for t in Transport::ALL {
            assert_eq!(t.to_string().parse(), Ok(*t));
        }
        for text in ["system", "insecure"] {
            assert_eq!(text.parse::<TlsPolicy>().unwrap().to_string(), text);
        }
        let openssl = "sha256:".to_owned() + &["AB"; 32].join(":");
        assert_eq!(openssl.parse(), Ok(TlsPolicy::Pinned([0xab; 32])));
        for bad in ["", "SYSTEM", "sha256:", "sha256:ab", "sha1:ab", "ab"] {
            assert!(bad.parse::<TlsPolicy>().is_err(), "{bad}");
        }
        let e = "smoke".parse::<Transport>().unwrap_err();
        assert!(e.contains("`smoke`") && e.contains("`multicast`"), "{e}");
    }

    #[test]
    fn only_what_differs_is_kept() {
        assert_eq!(CameraPolicies::default().to_json().to_string(), "{}");
        let own = CameraPolicies {
            timestamp_jump: TimestampJumpPolicy::Rebase,
            reorder_wait_ms: 500,
            ..CameraPolicies::default()
        };
        let text = own.to_json().to_string();
        assert_eq!(text, r#"{"reorder_wait_ms":500,"timestamp_jump":"rebase"}"#);
        assert_eq!(serde_json::from_str::<CameraPolicies>(&text).unwrap(), own);
        assert!(serde_json::from_str::<CameraPolicies>(r#"{"jump":"rebase"}"#).is_err());
    }
}
