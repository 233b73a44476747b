//! A player's side: plain HTTP/1.1 over a socket, so that the client's own work is as little as it can be.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zhenbei::access::{Access, Actor, Audit};
use zhenbei::config::AccessConfig;
use zhenbei::model::{Secret, SystemClock};
use zhenbei::store::Database;

/// Makes the account `admin`, or gives it a new password; returns the password.
pub async fn account(dir: &Path) -> String {
    let url = format!("sqlite:{}", dir.join("zhenbei.db").display());
    let db = Database::open(&Secret::new(url)).await.unwrap();
    let clock = Arc::new(SystemClock);
    let audit = Audit::new(db.clone(), clock.clone());
    let access = Access::new(db.clone(), audit, clock, &AccessConfig::default());
    let actor = Actor::system("bench");
    let password = match access.ensure_first_admin(&actor).await.unwrap() {
        Some(password) => password,
        None => {
            let password = "correct horse battery";
            access
                .set_password(&actor, "admin", password)
                .await
                .unwrap();
            password.to_owned()
        }
    };
    db.close().await;
    password
}

pub struct Client {
    pub address: String,
    pub cookie: String,
}

impl Client {
    pub async fn sign_in(url: &str, password: &str) -> Self {
        let address = url.trim_start_matches("http://").to_owned();
        let body = serde_json::json!({ "name": "admin", "password": password }).to_string();
        let mut socket = TcpStream::connect(&address).await.unwrap();
        let request = format!(
            "POST /api/v1/session HTTP/1.1\r\nhost: bench\r\nx-zhenbei: 1\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        let cookie = answer
            .lines()
            .find_map(|l| l.strip_prefix("set-cookie: "))
            .unwrap_or_else(|| panic!("no cookie in {answer}"));
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Self { address, cookie }
    }

    pub fn request(&self, path: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nhost: bench\r\ncookie: {}\r\nconnection: close\r\n\r\n",
            self.cookie
        )
    }

    /// Milliseconds from the request to the first byte of the body, on a connection that is there already.
    pub async fn first_byte(&self, path: &str) -> f64 {
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let begun = Instant::now();
        socket
            .write_all(self.request(path).as_bytes())
            .await
            .unwrap();
        let mut seen = Vec::with_capacity(8192);
        loop {
            let n = socket.read_buf(&mut seen).await.unwrap();
            assert!(n > 0, "{path}: {}", String::from_utf8_lossy(&seen));
            let head = seen.windows(4).position(|w| w == b"\r\n\r\n");
            if let Some(end) = head
                && seen.len() > end + 4
            {
                let took = begun.elapsed();
                assert!(
                    seen.starts_with(b"HTTP/1.1 200"),
                    "{path}: {}",
                    String::from_utf8_lossy(&seen)
                );
                return took.as_secs_f64() * 1e3;
            }
        }
    }
}
