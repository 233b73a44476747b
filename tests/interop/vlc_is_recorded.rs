//! VLC's RTSP server. It sends RTP as datagrams only and refuses TCP with 461, so it is also the real server behind the
//! promise that `auto` finds the way that works.

use zhenbei::model::{CameraPolicies, FaultKind, Transport, VideoCodec};

use crate::camera_test::{Server, Wants, camera_test};
use crate::house::House;
use crate::source::Film;
use crate::vlc::Vlc;

async fn recorded(codec: VideoCodec, transport: Transport) {
    let mut vlc = tokio::task::block_in_place(|| Vlc::start(Film::make(codec)));
    let wants = Wants {
        transport,
        codec,
        sound: Some(*b"mp4a"),
        ..Wants::h264()
    };
    for pictures in camera_test(&mut vlc, &wants).await {
        vlc.film().has_in_order(&pictures);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_by_the_way_that_auto_finds() {
    recorded(VideoCodec::H264, Transport::Auto).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_as_datagrams() {
    recorded(VideoCodec::H265, Transport::Udp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_it_is_said_what_to_do() {
    let vlc = tokio::task::block_in_place(|| Vlc::start(Film::make(VideoCodec::H264)));
    let house = House::open(&vlc.url(), Transport::Tcp, CameraPolicies::default()).await;
    house
        .until("it is said what is wrong", |h| h.fault().is_some())
        .await;
    let reason = house.fault().unwrap();
    assert_eq!(reason.kind, FaultKind::Protocol);
    assert!(reason.message.contains("461"), "{}", reason.message);
    house.close().await;
}
