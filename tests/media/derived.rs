//! What is made of a clip shows what the clip shows: counted, compared picture by picture, and played by ffmpeg.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use zhenbei::media::{DeriveOrder, Derived, Media, Recipe, patience};
use zhenbei::model::{ErrorKind, Result, UtcMicros};

use crate::clips::{look_at, run};
use crate::{media, signal, until};

/// 2026-11-24 18:00:00.040 in Yulin.
const STARTS: UtcMicros = UtcMicros(1_795_514_400_040_000);
const WIDTH: usize = 320;
const HEIGHT: usize = 180;

struct Studio {
    media: Media,
    dir: TempDir,
}

impl Studio {
    fn new() -> Self {
        Self {
            media: media(|_| {}),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Six seconds at 25 pictures a second, a key picture each second, no two pictures alike.
    fn clip(&self, name: &str, encode: &[&str], sound: bool) -> PathBuf {
        let path = self.dir.path().join(name);
        let mut args = vec![
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x180:rate=25",
        ];
        if sound {
            args.extend([
                "-f",
                "lavfi",
                "-i",
                "sine=frequency=700:sample_rate=16000",
                "-c:a",
                "aac",
                "-b:a",
                "32k",
            ]);
        }
        args.extend([
            "-t",
            "6",
            "-pix_fmt",
            "yuv420p",
            "-video_track_timescale",
            "90000",
        ]);
        args.extend(encode);
        args.push(path.to_str().unwrap());
        run("ffmpeg", &args);
        path
    }

    fn order(&self, clip: &Path, recipe: Recipe, out: &str) -> DeriveOrder {
        DeriveOrder {
            recipe,
            clip: clip.to_owned(),
            starts: STARTS,
            out: self.dir.path().join(out),
            max_bytes: 64 << 20,
            patience: patience(),
        }
    }

    async fn make(&self, clip: &Path, recipe: Recipe, out: &str) -> Result<(Derived, PathBuf)> {
        let order = self.order(clip, recipe, out);
        let path = order.out.clone();
        let derived = self.media.derive(order).await?;
        assert_eq!(derived.bytes, std::fs::metadata(&path).unwrap().len());
        Ok((derived, path))
    }

    fn left(&self) -> Vec<String> {
        let all = std::fs::read_dir(self.dir.path()).unwrap();
        all.map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

const H264: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-bf",
    "0",
    "-g",
    "25",
    "-keyint_min",
    "25",
    "-sc_threshold",
    "0",
];
const H264_B: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-bf",
    "2",
    "-b_strategy",
    "0",
    "-g",
    "25",
    "-keyint_min",
    "25",
    "-sc_threshold",
    "0",
    "-x264-params",
    "open-gop=0",
];

fn cut(from_ms: i64, to_ms: i64) -> Recipe {
    Recipe::ExactCut {
        from_us: from_ms * 1_000,
        to_us: to_ms * 1_000,
    }
}

/// Every picture as the decoder gives it; any complaint of ffmpeg is a failure.
fn pictures(file: &Path) -> Vec<Vec<u8>> {
    let path = file.to_str().unwrap();
    let out = std::process::Command::new("ffmpeg")
        .args([
            "-v",
            "warning",
            "-xerror",
            "-i",
            path,
            "-map",
            "0:v",
            "-fps_mode",
            "passthrough",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
            "-",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.success() && said.trim().is_empty(),
        "{path}: {said}"
    );
    out.stdout
        .chunks_exact(WIDTH * HEIGHT * 3 / 2)
        .map(<[u8]>::to_vec)
        .collect()
}

/// Peak signal to noise ratio of the brightness, in dB.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let of = WIDTH * HEIGHT;
    let squares = a[..of]
        .iter()
        .zip(&b[..of])
        .map(|(a, b)| f64::from(i32::from(*a) - i32::from(*b)).powi(2));
    let mean = squares.sum::<f64>() / of as f64;
    if mean == 0.0 {
        f64::INFINITY
    } else {
        10.0 * (255.0f64.powi(2) / mean).log10()
    }
}

/// Hashes of the NAL units of every sample of the picture track that are no parameter sets.
fn units(file: &Path, h265: bool) -> Vec<Vec<String>> {
    let (mp4, bytes) = re_mp4::Mp4::read_file(file).unwrap();
    let track = mp4.tracks().values().find(|t| t.width > 0).unwrap();
    let samples = track.samples.iter().map(|s| {
        let mut rest = &bytes[s.byte_range()];
        let mut units = Vec::new();
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let (unit, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
            let set = h265 && (32..=34).contains(&(unit[0] >> 1 & 0x3f));
            if !set {
                units.push(hex::encode(Sha256::digest(unit)));
            }
            rest = tail;
        }
        units
    });
    samples.collect()
}

fn probe(file: &Path, what: &str, stream: &str) -> String {
    let out = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-select_streams",
            stream,
            "-show_entries",
            what,
            "-of",
            "csv=p=0",
            file.to_str().unwrap(),
        ],
    );
    String::from_utf8(out).unwrap().trim().to_owned()
}

/// Compares a cut with the pictures `from..to` of its clip; the first `encoded` may differ a little, as may the last `tail`.
fn same_pictures(clip: &Path, cut: &Path, from: usize, to: usize, encoded: usize, tail: usize) {
    let (whole, part) = (pictures(clip), pictures(cut));
    assert_eq!(part.len(), to - from, "pictures in the cut");
    for (i, (a, b)) in whole[from..to].iter().zip(&part).enumerate() {
        let db = psnr(a, b);
        let copied = i >= encoded && i < part.len() - tail;
        let needed = if copied { f64::INFINITY } else { 40.0 };
        assert!(db >= needed, "picture {i} of the cut: {db:.1} dB");
        assert!(
            psnr(&whole[from + i + 1 - 2 * usize::from(i > 0)], b) < db,
            "picture {i} is not its neighbour"
        );
    }
}

#[tokio::test]
async fn a_cut_begins_at_its_picture_and_copies_all_it_can() {
    for (sound, name) in [(false, "mute.mp4"), (true, "heard.mp4")] {
        let studio = Studio::new();
        let clip = studio.clip(name, H264, sound);
        // Pictures 35 to 104; the next key picture is 50.
        let (made, file) = studio
            .make(&clip, cut(1_400, 4_200), "cut.mp4")
            .await
            .unwrap();
        assert_eq!((made.from_us, made.to_us), (1_400_000, 4_200_000));
        assert_eq!((made.encoded, made.copied), (15, 55));
        assert_eq!(made.encoder.as_deref(), Some("libx264"));
        assert!(
            made.settings.contains("crf=14") && made.settings.contains("libavcodec"),
            "{}",
            made.settings
        );
        same_pictures(&clip, &file, 35, 105, 15, 0);
        let (whole, part) = (units(&clip, false), units(&file, false));
        assert_eq!(part[15..], whole[50..105], "copied NAL unit for NAL unit");
        assert_eq!(
            probe(&file, "stream=codec_tag_string,nb_frames", "v"),
            "avc1,70"
        );
        let length: f64 = probe(&file, "format=duration", "v").parse().unwrap();
        assert!((length - 2.8).abs() < 0.001, "{length}");
        if sound {
            assert_eq!(made.audio, "copied");
            let heard: f64 = probe(&file, "stream=duration", "a").parse().unwrap();
            assert!((2.7..=2.8).contains(&heard), "{heard} s of sound");
        } else {
            assert_eq!(
                (
                    made.audio.as_str(),
                    probe(&file, "stream=codec_name", "a").as_str()
                ),
                ("none", "")
            );
        }
        studio.media.stop().await;
    }
}

#[tokio::test]
async fn a_cut_on_a_key_picture_encodes_nothing() {
    let studio = Studio::new();
    let clip = studio.clip("clip.mp4", H264, true);
    let (made, file) = studio
        .make(&clip, cut(2_000, 3_400), "cut.mp4")
        .await
        .unwrap();
    assert_eq!((made.encoded, made.copied, made.encoder), (0, 35, None));
    assert_eq!(units(&file, false), units(&clip, false)[50..85]);
    same_pictures(&clip, &file, 50, 85, 0, 0);
    studio.media.stop().await;
}

#[tokio::test]
async fn a_start_within_a_picture_takes_that_picture() {
    let studio = Studio::new();
    let clip = studio.clip("clip.mp4", H264, false);
    let (made, file) = studio
        .make(&clip, cut(1_019, 1_081), "cut.mp4")
        .await
        .unwrap();
    assert_eq!((made.from_us, made.to_us), (1_000_000, 1_081_000));
    same_pictures(&clip, &file, 25, 28, 0, 0);
    studio.media.stop().await;
}

#[tokio::test]
async fn pictures_that_need_later_ones_are_cut_exactly_too() {
    let studio = Studio::new();
    let clip = studio.clip("clip.mp4", H264_B, false);
    let mut both_seams = false;
    for (from, to) in [
        (35usize, 105usize),
        (36, 104),
        (37, 106),
        (50, 88),
        (51, 63),
    ] {
        let ms = |n: usize| i64::try_from(n * 40).unwrap();
        let (made, file) = studio
            .make(&clip, cut(ms(from), ms(to)), &format!("cut-{from}.mp4"))
            .await
            .unwrap();
        assert_eq!(
            made.encoded + made.copied,
            u64::try_from(to - from).unwrap()
        );
        let head = if from % 25 == 0 {
            0
        } else {
            (25 - from % 25).min(to - from)
        };
        let tail = usize::try_from(made.encoded).unwrap() - head;
        both_seams |= head > 0 && tail > 0 && made.copied > 0;
        same_pictures(&clip, &file, from, to, head, tail);
    }
    assert!(
        both_seams,
        "no case had a copied middle between two encoded seams"
    );
    studio.media.stop().await;
}

fn h265(params: &str) -> Vec<String> {
    let params = format!("log-level=none:keyint=25:min-keyint=25:scenecut=0:{params}");
    [
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-tag:v",
        "hvc1",
        "-x265-params",
        &params,
    ]
    .map(String::from)
    .to_vec()
}

#[tokio::test]
async fn h265_is_cut_exactly_with_its_parameter_sets_in_band() {
    let studio = Studio::new();
    for (name, params) in [
        ("plain.mp4", "bframes=0:open-gop=0"),
        ("b.mp4", "bframes=2:open-gop=0"),
    ] {
        let options = h265(params);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let clip = studio.clip(name, &options, true);
        let (made, file) = studio
            .make(&clip, cut(1_400, 5_000), &format!("cut-{name}"))
            .await
            .unwrap();
        assert_eq!(
            (made.encoded, made.copied, made.encoder.as_deref()),
            (15, 75, Some("libx265"))
        );
        same_pictures(&clip, &file, 35, 125, 15, 0);
        assert_eq!(units(&file, true)[15..], units(&clip, true)[50..125]);
        assert_eq!(
            probe(&file, "stream=codec_tag_string,nb_frames", "v"),
            "hev1,90"
        );
        // Jumping to a later key picture finds the right parameter sets.
        let path = file.to_str().unwrap();
        let jumped = run(
            "ffmpeg",
            &[
                "-v",
                "error",
                "-xerror",
                "-ss",
                "2.7",
                "-i",
                path,
                "-frames:v",
                "1",
                "-f",
                "rawvideo",
                "-pix_fmt",
                "yuv420p",
                "-",
            ],
        );
        let whole = pictures(&clip);
        assert!(
            whole[102..104]
                .iter()
                .any(|p| psnr(p, &jumped) == f64::INFINITY),
            "after a jump"
        );
        let (made, file) = studio
            .make(&clip, cut(2_000, 4_000), &format!("whole-{name}"))
            .await
            .unwrap();
        assert_eq!((made.encoded, made.copied), (0, 50));
        assert_eq!(probe(&file, "stream=codec_tag_string", "v"), "hvc1");
        same_pictures(&clip, &file, 50, 100, 0, 0);
    }
    studio.media.stop().await;
}

#[tokio::test]
async fn open_gops_of_h265_are_copied_only_when_nothing_leads_the_key_picture() {
    let studio = Studio::new();
    // A CRA each 25 pictures that none lead: copied behind an end of sequence.
    // A CRA each 27 with pictures that are shown before it and need what was before: encoded.
    for (name, keyint, encoded, copied) in [("cra.mp4", 25, 15, 50), ("open.mp4", 27, 65, 0)] {
        let options = h265(&format!(
            "min-keyint=1:keyint={keyint}:bframes=3:open-gop=1:b-adapt=0"
        ));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let clip = studio.clip(name, &options, false);
        let (made, file) = studio
            .make(&clip, cut(1_400, 4_000), &format!("cut-{name}"))
            .await
            .unwrap();
        assert_eq!((made.encoded, made.copied), (encoded, copied), "{name}");
        let said = made
            .notes
            .iter()
            .any(|n| n.contains("all of it is encoded"));
        assert_eq!(said, copied == 0, "{:?}", made.notes);
        same_pictures(&clip, &file, 35, 100, usize::try_from(encoded).unwrap(), 0);
    }
    studio.media.stop().await;
}

#[tokio::test]
async fn the_same_order_gives_the_same_bytes() {
    let studio = Studio::new();
    let clip = studio.clip("clip.mp4", H264_B, true);
    let recipes = [
        cut(1_400, 4_200),
        Recipe::Still { at_us: 2_500_000 },
        Recipe::ContactSheet {
            columns: 3,
            rows: 2,
        },
        Recipe::LowCopy {
            from_us: 0,
            to_us: 2_000_000,
        },
    ];
    for (i, recipe) in recipes.into_iter().enumerate() {
        let (_, one) = studio
            .make(&clip, recipe.clone(), &format!("{i}-1"))
            .await
            .unwrap();
        let (_, two) = studio
            .make(&clip, recipe.clone(), &format!("{i}-2"))
            .await
            .unwrap();
        assert!(
            std::fs::read(one).unwrap() == std::fs::read(two).unwrap(),
            "{recipe:?}"
        );
    }
    studio.media.stop().await;
}

#[tokio::test]
async fn a_still_is_the_very_picture_on_the_screen() {
    let studio = Studio::new();
    let clip = studio.clip("clip.mp4", H264_B, false);
    let (made, file) = studio
        .make(&clip, Recipe::Still { at_us: 2_530_000 }, "still.jpg")
        .await
        .unwrap();
    assert_eq!((made.from_us, made.to_us), (2_520_000, 2_560_000));
    let path = file.to_str().unwrap();
    let shown = run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-i",
            path,
            "-vf",
            "scale=in_range=full:out_range=tv",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
            "-",
        ],
    );
    let whole = pictures(&clip);
    let best = (0..whole.len())
        .max_by(|a, b| psnr(&whole[*a], &shown).total_cmp(&psnr(&whole[*b], &shown)));
    assert_eq!(best, Some(63));
    studio.media.stop().await;
}

#[tokio::test]
async fn a_sheet_shows_the_clip_in_steps_with_times_under_them() {
    let studio = Studio::new();
    let red_then_blue = "color=0xc02020:size=320x180:rate=25:duration=3[a];color=0x2020c0:size=320x180:rate=25:duration=3[b];[a][b]concat";
    let path = studio.dir.path().join("colours.mp4");
    let mut args = vec![
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        red_then_blue,
        "-pix_fmt",
        "yuv420p",
    ];
    args.extend(H264);
    args.push(path.to_str().unwrap());
    run("ffmpeg", &args);
    let (made, file) = studio
        .make(
            &path,
            Recipe::ContactSheet {
                columns: 3,
                rows: 2,
            },
            "sheet.jpg",
        )
        .await
        .unwrap();
    assert_eq!((made.encoded, made.encoder.as_deref()), (6, Some("mjpeg")));
    let jpeg = std::fs::read(&file).unwrap();
    let (width, height, _, _) = look_at(&jpeg);
    assert_eq!((width, height), (328 * 3 + 8, (180 + 24) * 2 + 32));
    let rgb = run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-i",
            file.to_str().unwrap(),
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-",
        ],
    );
    let at = |x: usize, y: usize| {
        let i = (y * width as usize + x) * 3;
        (rgb[i], rgb[i + 1], rgb[i + 2])
    };
    for column in 0..3 {
        let x = 8 + column * 328 + 160;
        let (above, below) = (at(x, 32 + 90), at(x, 32 + 204 + 90));
        assert!(above.0 > 150 && above.2 < 80, "{above:?} is red");
        assert!(below.2 > 150 && below.0 < 80, "{below:?} is blue");
        // Under each picture there are letters, and they differ: the first digits of the seconds.
        let line: usize = (0..14)
            .map(|y| {
                (x - 160..x + 160)
                    .filter(|x| at(*x, 32 + 184 + y).1 > 180)
                    .count()
            })
            .sum();
        assert!(line > 300, "{line} bright dots in the line of letters");
    }
    let (too_many, _) = (
        studio
            .make(
                &path,
                Recipe::ContactSheet {
                    columns: 9,
                    rows: 2,
                },
                "no.jpg",
            )
            .await
            .unwrap_err(),
        (),
    );
    assert_eq!(too_many.code(), "cannot_derive");
    studio.media.stop().await;
}

#[tokio::test]
async fn a_low_copy_is_small_and_whole() {
    let studio = Studio::new();
    let path = studio.dir.path().join("large.mp4");
    let mut args = vec![
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=1280x720:rate=25",
        "-f",
        "lavfi",
        "-i",
        "sine=sample_rate=16000",
        "-t",
        "8",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
    ];
    args.extend(H264_B);
    args.push(path.to_str().unwrap());
    run("ffmpeg", &args);
    let (made, file) = studio
        .make(
            &path,
            Recipe::LowCopy {
                from_us: 1_000_000,
                to_us: 8_000_000,
            },
            "low.mp4",
        )
        .await
        .unwrap();
    assert_eq!(
        (made.encoded, made.copied, made.audio.as_str()),
        (175, 0, "copied")
    );
    assert_eq!(
        probe(
            &file,
            "stream=codec_name,profile,width,height,nb_frames",
            "v"
        ),
        "h264,Main,640,360,175"
    );
    assert_eq!(probe(&file, "stream=codec_name", "a"), "aac");
    let bits: u64 = probe(&file, "stream=bit_rate", "v").parse().unwrap();
    assert!(bits < 520_000, "{bits} bit/s");
    let path = file.to_str().unwrap();
    run(
        "ffmpeg",
        &["-v", "error", "-xerror", "-i", path, "-f", "null", "-"],
    );
    studio.media.stop().await;
}

#[tokio::test]
async fn what_cannot_be_made_says_why_and_leaves_nothing() {
    let studio = Studio::new();
    let clip = studio.clip("clip.mp4", H264, false);
    let before = studio.left();
    for (from, to) in [(7_000, 8_000), (-2_000, -1_000)] {
        let error = studio
            .make(&clip, cut(from, to), "cut.mp4")
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Conflict, "cannot_derive")
        );
        assert!(error.detail().contains("no picture"), "{error}");
    }
    // A clip cut short, one that is none, one whose pictures are torn, and a result that is too long.
    let bytes = std::fs::read(&clip).unwrap();
    let mut torn = bytes.clone();
    let (mp4, _) = re_mp4::Mp4::read_file(&clip).unwrap();
    let sample = mp4.tracks().values().next().unwrap().samples[30].byte_range();
    torn[sample.start + 40..sample.end].fill(0x55);
    for (name, content) in [
        ("short", &bytes[..bytes.len() / 2]),
        ("none", &b"not a film at all"[..]),
        ("torn", &torn),
    ] {
        let path = studio.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        let error = studio
            .make(&path, cut(1_400, 4_200), "cut.mp4")
            .await
            .unwrap_err();
        assert_eq!(error.code(), "cannot_derive", "{name}: {error}");
        std::fs::remove_file(path).unwrap();
    }
    let mut order = studio.order(&clip, cut(1_400, 4_200), "cut.mp4");
    order.max_bytes = 10_000;
    let error = studio.media.derive(order).await.unwrap_err();
    assert!(error.detail().contains("more than"), "{error}");
    assert_eq!(studio.left(), before);
    assert_eq!(studio.media.status().derived_failed, 6);
    studio.media.stop().await;
}

#[tokio::test]
async fn a_worker_that_dies_or_hangs_costs_one_job() {
    let studio = Studio::new();
    let clip = studio.clip("clip.mp4", H264, false);
    for (how, code) in [
        (Signal::KILL, "worker_died"),
        (Signal::STOP, "derive_timeout"),
    ] {
        let mut order = studio.order(
            &clip,
            Recipe::LowCopy {
                from_us: 0,
                to_us: 6_000_000,
            },
            "low.mp4",
        );
        order.patience = Duration::from_millis(700);
        let strike = async {
            until("the worker", || !studio.media.workers().is_empty()).await;
            let (role, pid) = studio.media.workers()[0];
            assert_eq!(role, "derive");
            signal(pid, how);
        };
        let (result, ()) = tokio::join!(studio.media.derive(order), strike);
        let error = result.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Unavailable, code),
            "{error}"
        );
        assert_eq!(studio.left(), ["clip.mp4"]);
    }
    studio
        .make(&clip, cut(2_000, 3_000), "cut.mp4")
        .await
        .expect("a new worker");
    studio.media.stop().await;
    assert!(studio.media.workers().is_empty());
}

#[tokio::test]
async fn one_job_runs_at_a_time_and_the_queue_has_an_end() {
    let studio = Studio::new();
    let clip = studio.clip("clip.mp4", H264, false);
    let names: Vec<String> = (0..20).map(|i| format!("{i}.mp4")).collect();
    let jobs = names
        .iter()
        .map(|name| studio.make(&clip, cut(2_000, 3_000), name));
    let watch = async {
        let mut most = 0;
        loop {
            most = most.max(studio.media.workers().len());
            if studio.media.status().derived_made >= 17 {
                return most;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (results, most) = tokio::join!(join_all(jobs), watch);
    assert_eq!(most, 1, "workers side by side");
    let busy: Vec<_> = results.iter().filter_map(|r| r.as_ref().err()).collect();
    assert_eq!(busy.len(), 3);
    assert!(
        busy.iter()
            .all(|e| (e.kind(), e.code()) == (ErrorKind::TooMuch, "derive_busy"))
    );
    studio.media.stop().await;
}
