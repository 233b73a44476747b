//! gst-rtsp-server: the RTSP server in many cameras, and the one we know best.

use zhenbei::model::VideoCodec;

use crate::camera_test::{Server, Wants, camera_test};
use crate::support::rtsp::{Audio, Codec, FakeCamera, Spec};

impl Server for FakeCamera {
    fn url(&self) -> String {
        Self::url(self)
    }

    async fn kill(&mut self) {
        tokio::task::block_in_place(|| self.stop());
    }

    async fn start_again(&mut self) {
        tokio::task::block_in_place(|| self.restart());
    }

    fn open_sessions(&self) -> Option<u32> {
        Some(self.sessions())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h264() {
    let mut server = FakeCamera::start(Spec::default());
    camera_test(&mut server, &Wants::h264()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_with_b_frames() {
    let mut server = FakeCamera::start(Spec {
        codec: Codec::H264BFrames,
        ..Spec::default()
    });
    let sessions = camera_test(&mut server, &Wants::h264()).await;
    for pictures in sessions {
        let back = pictures.windows(2).any(|p| p[1].pts < p[0].pts);
        assert!(back, "shown in another order than sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_with_aac_and_a_password() {
    let mut server = FakeCamera::start(Spec {
        audio: Some(Audio::Aac),
        auth: Some(("admin".to_owned(), "pa55word".to_owned())),
        ..Spec::default()
    });
    let wants = Wants {
        sound: Some(*b"mp4a"),
        ..Wants::h264()
    };
    camera_test(&mut server, &wants).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_with_g711() {
    let mut server = FakeCamera::start(Spec {
        codec: Codec::H265,
        audio: Some(Audio::Pcma),
        ..Spec::default()
    });
    let wants = Wants {
        codec: VideoCodec::H265,
        sound: Some(*b"alaw"),
        ..Wants::h264()
    };
    camera_test(&mut server, &wants).await;
}
