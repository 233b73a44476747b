//! The files of `pipelines/` run on this machine, and a mistake in one is told before a viewer meets it.

use std::path::Path;

use zhenbei::config::MediaConfig;
use zhenbei::media::Media;
use zhenbei::model::Error;

use crate::{media, program};

const BUILT_IN: &str = include_str!("../../pipelines/h265-to-h264.toml");

#[tokio::test]
async fn every_file_is_in_the_binary_and_runs_here() {
    let media = media(|_| {});
    let checked = media.check_pipelines().await.unwrap();
    let mut files: Vec<String> =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines"))
            .unwrap()
            .map(|f| {
                f.unwrap()
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
    files.sort();
    assert_eq!(checked, files);
    assert!(media.workers().is_empty(), "the checking worker is gone");
    media.stop().await;
}

async fn check(name: &str, text: &str) -> Result<(), Error> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(name), text).unwrap();
    let config = MediaConfig {
        pipelines_dir: Some(dir.path().into()),
        ..MediaConfig::default()
    };
    let media = Media::start(&config, program())?;
    let answer = media.check_pipelines().await.map(drop);
    media.stop().await;
    answer
}

#[tokio::test]
async fn a_pipeline_of_the_site_replaces_the_built_in_one() {
    check("h265-to-h264.toml", BUILT_IN).await.unwrap();
}

#[tokio::test]
async fn mistakes_are_named() {
    let name = "h265-to-h264.toml";
    let with = |from: &str, to: &str| {
        assert!(BUILT_IN.contains(from), "{from}");
        BUILT_IN.replacen(from, to, 1)
    };
    for (file, text, said) in [
        // A plugin that is not installed, with the package that brings it.
        (
            name,
            with("[requires]", "[requires]\nnvh265dec = \"gstreamer1.0-nv\""),
            "nvh265dec (apt-get install gstreamer1.0-nv)",
        ),
        (
            name,
            with("! videoconvert", "! vidoeconvert"),
            "vidoeconvert",
        ),
        (name, with("! videoscale", "! ! videoscale"), "template"),
        (
            name,
            with("property = \"quantizer\"", "property = \"quantiser\""),
            "x264enc has no property `quantiser`",
        ),
        (
            name,
            with("element = \"encoder\"", "element = \"coder\""),
            "`coder`",
        ),
        (
            name,
            with("default = \"ultrafast\"", "default = \"fastest\""),
            "one of ultrafast",
        ),
        (
            name,
            with("name=out", "name=exit"),
            "no appsink named `out`",
        ),
        (
            name,
            with("[parameters.width]", "[parameters.breadth]"),
            "`width`",
        ),
        (name, with("description", "descripton"), "descripton"),
        (
            "other.toml",
            BUILT_IN.into(),
            "other.toml replaces no pipeline; there are: h265-to-h264.toml",
        ),
    ] {
        let error = check(file, &text).await.unwrap_err();
        assert_eq!(error.code(), "bad_pipeline");
        assert!(
            error.detail().contains(said),
            "wanted `{said}`, got: {error}"
        );
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let config = MediaConfig {
        pipelines_dir: Some("/nonexistent/pipelines".into()),
        ..MediaConfig::default()
    };
    let error = Media::start(&config, program()).map(drop).unwrap_err();
    assert_eq!(error.code(), "bad_pipeline");
    assert!(error.detail().contains("/nonexistent/pipelines"), "{error}");
}
