//! The files of `pipelines/`: a template in the syntax of `gst-launch-1.0` and typed parameters, each a property of a named
//! element. Read and judged here without GStreamer; `pipeline_run` brings them to life in a worker.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::model::{Error, Result};

/// Longest pipeline file read.
const MAX_FILE: u64 = 64 << 10;

/// Every pipeline the daemon uses, by the name of its file.
const BUILT_IN: [(&str, &str); 1] = [(
    H265_TO_H264,
    include_str!("../../pipelines/h265-to-h264.toml"),
)];
pub(crate) const H265_TO_H264: &str = "h265-to-h264";

/// The text of each pipeline: built in, or from the folder of `[media] pipelines_dir`.
#[derive(Debug)]
pub(crate) struct Pipelines {
    texts: BTreeMap<&'static str, String>,
}

impl Pipelines {
    /// A file of the folder replaces the built-in pipeline of its name. Each must be well-formed; whether this machine can
    /// run it is asked of a worker.
    pub(crate) fn load(dir: Option<&Path>) -> Result<Self> {
        let mut texts: BTreeMap<_, _> = BUILT_IN
            .iter()
            .map(|(name, text)| (*name, (*text).to_owned()))
            .collect();
        if let Some(dir) = dir {
            for (name, text) in read_folder(dir)? {
                let Some(known) = texts.get_mut(name.as_str()) else {
                    let names: Vec<_> = texts.keys().map(|n| format!("{n}.toml")).collect();
                    return Err(bad(format!(
                        "{}/{name}.toml replaces no pipeline; there are: {}",
                        dir.display(),
                        names.join(", ")
                    )));
                };
                *known = text;
            }
        }
        for (name, text) in &texts {
            Spec::parse(text).map_err(|why| bad(format!("pipelines/{name}.toml: {why}")))?;
        }
        Ok(Self { texts })
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.texts.get(name).cloned().unwrap_or_default()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.texts.keys().copied()
    }
}

fn bad(detail: String) -> Error {
    Error::invalid("bad_pipeline", detail)
}

fn read_folder(dir: &Path) -> Result<Vec<(String, String)>> {
    let unreadable = |e: std::io::Error| {
        bad(format!(
            "the folder {} of [media] pipelines_dir cannot be read: {e}",
            dir.display()
        ))
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        let name = path
            .file_stem()
            .map(|s| s.to_string_lossy().into_owned())
            .unwrap_or_default();
        let size = std::fs::metadata(&path).map_err(unreadable)?.len();
        if size > MAX_FILE {
            return Err(bad(format!(
                "{} has {size} bytes; a pipeline has at most {MAX_FILE}",
                path.display()
            )));
        }
        found.push((name, std::fs::read_to_string(&path).map_err(unreadable)?));
    }
    found.sort();
    Ok(found)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    #[allow(dead_code, reason = "for the person who reads the file; must be there")]
    description: String,
    pub(crate) template: String,
    /// Element and the package that brings it.
    pub(crate) requires: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) parameters: BTreeMap<String, Parameter>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameter {
    pub(crate) element: String,
    pub(crate) property: String,
    /// A field of a `caps` property, instead of the property itself.
    pub(crate) field: Option<String>,
    #[serde(rename = "type")]
    kind: Kind,
    /// Without a default the daemon sets it.
    default: Option<Value>,
    range: Option<[i64; 2]>,
    choices: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Int,
    Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Int(i64),
    Text(String),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(n) => n.fmt(f),
            Self::Text(t) => f.write_str(t),
        }
    }
}

impl Spec {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let spec: Self = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        for (name, parameter) in &spec.parameters {
            if let Some(value) = &parameter.default {
                parameter
                    .check(value)
                    .map_err(|why| format!("the default of parameter `{name}` {why}"))?;
            }
            if parameter.range.is_some_and(|[from, to]| from > to) {
                return Err(format!("the range of parameter `{name}` is empty"));
            }
            if parameter.field.is_some() && parameter.kind != Kind::Int {
                return Err(format!(
                    "parameter `{name}` has a `field`, so its type must be int"
                ));
            }
        }
        Ok(spec)
    }

    /// Every parameter with its value: `given` or the default. Unknown, missing and unfit ones are errors.
    pub(crate) fn values<'a>(
        &'a self,
        given: &[(&str, Value)],
    ) -> Result<Vec<(&'a str, &'a Parameter, Value)>, String> {
        if let Some((name, _)) = given
            .iter()
            .find(|(n, _)| !self.parameters.contains_key(*n))
        {
            return Err(format!(
                "the pipeline has no parameter `{name}`, which the daemon sets"
            ));
        }
        let mut all = Vec::with_capacity(self.parameters.len());
        for (name, parameter) in &self.parameters {
            let value = given
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.clone())
                .or_else(|| parameter.default.clone())
                .ok_or_else(|| format!("parameter `{name}` has no default and is not set"))?;
            parameter
                .check(&value)
                .map_err(|why| format!("parameter `{name}` {why}"))?;
            all.push((name.as_str(), parameter, value));
        }
        Ok(all)
    }

    /// The upper end of the range of an integer parameter.
    pub(crate) fn upper(&self, name: &str) -> Result<u32, String> {
        self.parameters
            .get(name)
            .and_then(|p| p.range)
            .and_then(|[_, to]| u32::try_from(to).ok())
            .ok_or_else(|| format!("parameter `{name}` with a range is missing"))
    }
}

impl Parameter {
    fn check(&self, value: &Value) -> Result<(), String> {
        match (self.kind, value) {
            (Kind::Int, Value::Int(n)) => match self.range {
                Some([from, to]) if !(from..=to).contains(n) => {
                    Err(format!("is {n}; it must be from {from} to {to}"))
                }
                _ => Ok(()),
            },
            (Kind::Text, Value::Text(t)) => match &self.choices {
                Some(choices) if !choices.contains(t) => Err(format!(
                    "is `{t}`; it must be one of {}",
                    choices.join(", ")
                )),
                _ => Ok(()),
            },
            (Kind::Int, Value::Text(_)) => Err("is text; it must be a whole number".into()),
            (Kind::Text, Value::Int(_)) => Err("is a number; it must be text".into()),
        }
    }
}

/// The largest even size with the picture's shape in square pixels that fits, never larger than the picture.
pub(crate) fn fit(
    (width, height): (u32, u32),
    (num, den): (u32, u32),
    (max_width, max_height): (u32, u32),
) -> (u32, u32) {
    // Beyond 1:8 it is nonsense in the stream, not a lens.
    let sane = num > 0 && den > 0 && num.max(den) <= num.min(den).saturating_mul(8);
    let (num, den) = if sane {
        (u64::from(num), u64::from(den))
    } else {
        (1, 1)
    };
    let (mut w, mut h) = (
        (u64::from(width) * num / den).max(2),
        u64::from(height).max(2),
    );
    let (max_w, max_h) = (u64::from(max_width), u64::from(max_height));
    if w > max_w {
        h = (h * max_w + w / 2) / w;
        w = max_w;
    }
    if h > max_h {
        w = (w * max_h + h / 2) / h;
        h = max_h;
    }
    let even = |n: u64| u32::try_from(n & !1).unwrap_or(2).max(16);
    (even(w), even(h))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
description = "d"
template = "fakesrc name=a ! fakesink"
requires = { fakesrc = "p" }
[parameters.n]
element = "a"
property = "num-buffers"
type = "int"
default = 3
range = [1, 5]
"#;

    #[test]
    fn every_pipeline_in_the_binary_is_well_formed() {
        let pipelines = Pipelines::load(None).unwrap();
        assert_eq!(pipelines.names().count(), BUILT_IN.len());
    }

    #[test]
    fn values_are_typed_and_in_range() {
        let spec = Spec::parse(SMALL).unwrap();
        assert_eq!(spec.values(&[]).unwrap()[0].2, Value::Int(3));
        for unfit in [
            ("n", Value::Int(6)),
            ("n", Value::Text("1 ! filesink location=/etc/passwd".into())),
            ("m", Value::Int(1)),
        ] {
            assert!(spec.values(&[unfit]).is_err());
        }
    }

    #[test]
    fn mistakes_in_a_file_are_named() {
        for (from, to, said) in [
            ("default = 3", "default = 9", "from 1 to 5"),
            ("default = 3", "defualt = 3", "defualt"),
            ("default = 3", "default = \"x\"", "whole number"),
            ("[1, 5]", "[5, 1]", "from 5 to 1"),
            ("template", "tmplate", "tmplate"),
        ] {
            let why = Spec::parse(&SMALL.replace(from, to)).unwrap_err();
            assert!(why.contains(said), "{why}");
        }
    }

    #[test]
    fn pictures_keep_their_shape_and_stay_even() {
        let max = (1280, 720);
        assert_eq!(fit((1920, 1080), (1, 1), max), (1280, 720));
        assert_eq!(fit((640, 360), (1, 1), max), (640, 360), "never enlarged");
        assert_eq!(fit((2560, 1920), (1, 1), max), (960, 720));
        assert_eq!(fit((1080, 1920), (1, 1), max), (404, 720));
        assert_eq!(fit((704, 576), (12, 11), max), (768, 576));
        assert_eq!(fit((641, 361), (1, 1), max), (640, 360));
        assert_eq!(fit((0, 0), (0, 0), max), (16, 16));
    }
}
