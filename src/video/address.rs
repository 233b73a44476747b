//! A camera's address taken apart: retina wants user and password beside the URL, and they must not reach a log.

use url::Url;

use crate::model::Secret;

pub(super) struct Address {
    /// Without user and password.
    pub(super) url: Url,
    pub(super) credentials: Option<Credentials>,
    /// `host:port`, as it names the device.
    pub(super) authority: String,
    /// `rtsps`: RTSP over TLS, port 322 (RFC 7826 §4.2) unless it says otherwise.
    pub(super) tls: bool,
}

/// Decoded: `%40` in an address is `@` in a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: String,
}

impl Address {
    /// `Err` says what is wrong, without the address's secrets.
    pub(super) fn parse(secret: &Secret) -> Result<Self, String> {
        let mut url = Url::parse(secret.reveal()).map_err(|e| {
            format!("its address is not a URL ({e}); write rtsp://user:password@host:554/path")
        })?;
        let tls = url.scheme() == "rtsps";
        if !tls && url.scheme() != "rtsp" {
            return Err(format!(
                "its address begins with {}://, and only rtsp:// and rtsps:// are supported",
                url.scheme()
            ));
        }
        let Some(host) = url.host_str().filter(|h| !h.is_empty()).map(str::to_owned) else {
            return Err(
                "its address names no host; write rtsp://user:password@host:554/path".into(),
            );
        };
        let authority = format!(
            "{}:{}",
            host.to_ascii_lowercase(),
            url.port().unwrap_or(if tls { 322 } else { 554 })
        );
        let credentials = (!url.username().is_empty()).then(|| Credentials {
            username: percent_decoded(url.username()),
            password: percent_decoded(url.password().unwrap_or_default()),
        });
        // Neither can fail on a URL that has a host.
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        if cleared.is_err() {
            return Err(
                "its address cannot carry a user name; write rtsp://user:password@host:554/path"
                    .into(),
            );
        }
        Ok(Self {
            url,
            credentials,
            authority,
            tls,
        })
    }
}

/// RFC 3986 §2.1; what is not a valid escape stays as it is, and so do bytes that are not UTF-8.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        let mut ahead = rest.clone();
        let digits = (b == b'%').then(|| (ahead.next().and_then(hex), ahead.next().and_then(hex)));
        if let Some((Some(high), Some(low))) = digits {
            out.push(high << 4 | low);
            rest = ahead;
        } else {
            out.push(b);
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, String> {
        Address::parse(&Secret::new(text))
    }

    #[test]
    fn user_and_password_leave_the_address() {
        let a =
            parse("rtsp://admin:p%40ss%3aw%C3%B6rd@192.0.2.1/Streaming/Channels/101?x=1").unwrap();
        assert_eq!(
            a.url.as_str(),
            "rtsp://192.0.2.1/Streaming/Channels/101?x=1"
        );
        assert_eq!(a.authority, "192.0.2.1:554");
        let c = a.credentials.unwrap();
        assert_eq!(
            (c.username.as_str(), c.password.as_str()),
            ("admin", "p@ss:wörd")
        );
    }

    #[test]
    fn odd_passwords_are_taken_as_they_are() {
        let of = |text| parse(text).unwrap().credentials.unwrap().password;
        assert_eq!(of("rtsp://u:100%@h/"), "100%");
        assert_eq!(of("rtsp://u:a%zzb@h/"), "a%zzb");
        assert_eq!(of("rtsp://u:a@b@h/"), "a@b");
        assert_eq!(of("rtsp://u:a+b@h/"), "a+b");
        assert_eq!(of("rtsp://u@h/"), "");
        assert!(parse("rtsp://h:8554/").unwrap().credentials.is_none());
    }

    #[test]
    fn hosts_are_told_apart_by_name_and_port() {
        assert_eq!(
            parse("rtsp://CAM.example:8554/a").unwrap().authority,
            "cam.example:8554"
        );
        assert_eq!(
            parse("rtsp://[2001:db8::1]/a").unwrap().authority,
            "[2001:db8::1]:554"
        );
    }

    #[test]
    fn what_cannot_be_used_says_why_and_keeps_the_secret() {
        for bad in [
            "hunter2",
            "http://u:hunter2@h/",
            "rtsp:hunter2",
            "rtsp:///hunter2",
        ] {
            let message = parse(bad)
                .err()
                .unwrap_or_else(|| panic!("{bad} should be refused"));
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
