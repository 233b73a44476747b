//! `mqtt://user:password@host:1883` and what a failed connection means to the person who wrote it.

use rumqttc::{ConnectReturnCode, ConnectionError, StateError, Transport};

use crate::config::MqttConfig;
use crate::model::{Error, Result, Secret};

#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) user: Option<(String, Secret)>,
    pub(super) client_id: String,
}

impl Endpoint {
    pub(super) fn parse(config: &MqttConfig) -> Result<Self> {
        let bad = |why: &str| {
            Error::invalid(
                "bad_mqtt_url",
                format!("[[mqtt]] url `{}` {why}", config.url.redacted()),
            )
        };
        let url = url::Url::parse(config.url.reveal())
            .map_err(|e| bad("is not an address; write mqtt://HOST:1883").because(e))?;
        let (tls, default_port) = match url.scheme() {
            "mqtt" | "tcp" => (false, 1883),
            "mqtts" | "ssl" => (true, 8883),
            _ => return Err(bad("must begin with mqtt:// or mqtts://")),
        };
        let host = url
            .host_str()
            .filter(|h| !h.is_empty())
            .ok_or_else(|| bad("has no host"))?;
        if !matches!(url.path(), "" | "/") {
            return Err(bad("has a path; topics belong in `topics`"));
        }
        let user = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some((
                decoded(user).ok_or_else(|| bad("has a user name that is not UTF-8"))?,
                Secret::new(
                    decoded(password.unwrap_or_default())
                        .ok_or_else(|| bad("has a password that is not UTF-8"))?,
                ),
            )),
        };
        // Without an id the broker cannot keep a session, and messages would be lost while we are away.
        let id = &config.client_id;
        if id.is_empty() || id.len() > 65_535 || id.contains('\0') {
            return Err(Error::invalid(
                "bad_client_id",
                format!(
                    "[[mqtt]] client_id of {} must not be empty",
                    config.url.redacted()
                ),
            ));
        }
        Ok(Self {
            host: host.to_owned(),
            port: url.port().unwrap_or(default_port),
            tls,
            user,
            client_id: id.clone(),
        })
    }

    pub(super) fn name(&self) -> String {
        format!("mqtt:{}:{}", self.host, self.port)
    }

    pub(super) fn transport(&self) -> Transport {
        if self.tls {
            // The system's trusted certificates.
            Transport::tls_with_config(rumqttc::TlsConfiguration::Native)
        } else {
            Transport::Tcp
        }
    }

    /// Who, what, and what to do.
    pub(super) fn explain(&self, error: &ConnectionError) -> String {
        let at = format!("the MQTT broker at {}:{}", self.host, self.port);
        match error {
            ConnectionError::ConnectionRefused(code) => match code {
                ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                    match &self.user {
                        Some((user, _)) => format!(
                            "{at} refuses user `{user}`: check the user and password in [[mqtt]] url"
                        ),
                        None => format!(
                            "{at} wants a user and password: write mqtt://USER:PASSWORD@{}:{} in [[mqtt]] url",
                            self.host, self.port
                        ),
                    }
                }
                ConnectReturnCode::BadClientId => format!(
                    "{at} refuses client_id `{}`: choose another in [[mqtt]] client_id",
                    self.client_id
                ),
                ConnectReturnCode::RefusedProtocolVersion => {
                    format!("{at} does not speak MQTT 3.1.1")
                }
                ConnectReturnCode::ServiceUnavailable | ConnectReturnCode::Success => {
                    format!("{at} says that it is not available")
                }
            },
            ConnectionError::Io(e) | ConnectionError::MqttState(StateError::Io(e))
                if e.kind() == std::io::ErrorKind::ConnectionRefused =>
            {
                format!("{at} refuses connections: is it running, and is the port right?")
            }
            ConnectionError::Io(e) | ConnectionError::MqttState(StateError::Io(e)) => {
                format!("no connection with {at}: {e}")
            }
            ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
                format!("{at} does not answer in time")
            }
            ConnectionError::Tls(e) => format!(
                "no TLS with {at}: {e}; its certificate must be trusted by this machine and carry the host's name"
            ),
            ConnectionError::MqttState(StateError::ConnectionAborted) => {
                format!("{at} closed the connection")
            }
            ConnectionError::MqttState(StateError::AwaitPingResp) => {
                format!("{at} does not answer pings")
            }
            ConnectionError::NotConnAck(_)
            | ConnectionError::MqttState(StateError::Deserialization(_)) => {
                format!(
                    "what answers at {}:{} does not speak MQTT: {error}",
                    self.host, self.port
                )
            }
            ConnectionError::MqttState(_) | ConnectionError::RequestsDone => {
                format!("the session with {at} broke: {error}")
            }
        }
    }
}

/// Percent-decoding (RFC 3986 §2.1), for passwords with `@` or `/` in them.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let pair = [bytes.next()?, bytes.next()?];
        out.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint> {
        Endpoint::parse(&MqttConfig {
            url: Secret::new(url),
            topics: Vec::new(),
            client_id: "zhenbei".into(),
            allow_no_checksum: false,
        })
    }

    #[test]
    fn addresses() {
        let e = endpoint("mqtt://fleet:p%40ss%2Fword@10.0.0.1").unwrap();
        assert_eq!((e.host.as_str(), e.port, e.tls), ("10.0.0.1", 1883, false));
        let (user, password) = e.user.unwrap();
        assert_eq!((user.as_str(), password.reveal()), ("fleet", "p@ss/word"));
        let e = endpoint("mqtts://broker.example").unwrap();
        assert_eq!((e.port, e.tls), (8883, true));
        assert_eq!(e.name(), "mqtt:broker.example:8883");
        for bad in [
            "broker:1883",
            "http://broker",
            "mqtt://",
            "mqtt://h/fleet",
            "mqtt://u:%FF@h",
        ] {
            let e = endpoint(bad).unwrap_err();
            assert!(e.detail().contains("[[mqtt]] url"), "{bad}: {e}");
        }
        assert!(
            !endpoint("http://u:secret@h")
                .unwrap_err()
                .detail()
                .contains("secret")
        );
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let refused = ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized);
        let with = endpoint("mqtt://fleet:x@h").unwrap().explain(&refused);
        assert!(with.contains("refuses user `fleet`") && !with.contains(":x@"));
        let without = endpoint("mqtt://h").unwrap().explain(&refused);
        assert!(without.contains("wants a user"));
    }
}
