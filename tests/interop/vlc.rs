//! VLC as a camera: its RTSP server plays a film over and over.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::camera_test::Server;
use crate::source::Film;
use crate::support::servers::{free_port, program};

const PACKAGES: &str = "vlc-bin vlc-plugin-base";

pub struct Vlc {
    film: Film,
    port: u16,
    child: Option<Child>,
}

impl Vlc {
    pub fn start(film: Film) -> Self {
        let mut vlc = Self {
            film,
            port: free_port(),
            child: None,
        };
        vlc.run();
        vlc
    }

    pub fn film(&self) -> &Film {
        &self.film
    }

    fn run(&mut self) {
        let binary = program("vlc", PACKAGES);
        // VLC refuses to run as root, so root hands it to nobody, who must be able to read the film and to write his settings.
        let mode = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(self.film.folder(), mode).unwrap();
        let mut command = if rustix::process::geteuid().is_root() {
            let mut c = Command::new("setpriv");
            c.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
            c.arg(binary);
            c
        } else {
            Command::new(binary)
        };
        let address = format!("#rtp{{sdp=rtsp://127.0.0.1:{}/film}}", self.port);
        command
            .args(["--intf", "dummy", "--no-dbus", "--quiet", "--loop"])
            .args(["--sout-keep", "--sout", &address])
            .arg(self.film.path())
            .env("HOME", self.film.folder())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_RUNTIME_DIR")
            .current_dir(self.film.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(
            command
                .spawn()
                .unwrap_or_else(|e| panic!("VLC cannot be started: {e}")),
        );
        self.wait_until_it_plays();
    }

    fn wait_until_it_plays(&mut self) {
        let give_up = Instant::now() + Duration::from_secs(30);
        while !self.describes() {
            let child = self.child.as_mut().unwrap();
            if let Some(status) = child.try_wait().unwrap() {
                panic!("VLC ended at its start ({status}): apt-get install {PACKAGES}");
            }
            assert!(
                Instant::now() < give_up,
                "VLC serves no RTSP on port {}: apt-get install {PACKAGES}",
                self.port
            );
            #[allow(
                clippy::disallowed_methods,
                reason = "waits for another process before the test goes on"
            )]
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its port opens before it knows what it will send.
    fn describes(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
            socket.set_read_timeout(Some(Duration::from_secs(1)))?;
            let url = self.url();
            socket.write_all(format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n").as_bytes())?;
            let mut answer = [0; 12];
            socket.read_exact(&mut answer)?;
            Ok(&answer == b"RTSP/1.0 200")
        };
        ask().unwrap_or(false)
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Drop for Vlc {
    fn drop(&mut self) {
        self.end();
    }
}

impl Server for Vlc {
    fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/film", self.port)
    }

    async fn kill(&mut self) {
        tokio::task::block_in_place(|| self.end());
    }

    async fn start_again(&mut self) {
        tokio::task::block_in_place(|| self.run());
    }
}
