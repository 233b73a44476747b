//! A stream that FFmpeg publishes by ANNOUNCE and RECORD to a server that gives it on.

use zhenbei::model::VideoCodec;

use crate::camera_test::{Wants, camera_test};
use crate::relay::Published;

async fn recorded(codec: VideoCodec) {
    let mut server = tokio::task::block_in_place(|| Published::start(codec));
    let wants = Wants {
        codec,
        sound: Some(*b"mp4a"),
        ..Wants::h264()
    };
    for pictures in camera_test(&mut server, &wants).await {
        server.film().has_in_order(&pictures);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_with_aac() {
    recorded(VideoCodec::H264).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_with_aac() {
    recorded(VideoCodec::H265).await;
}
