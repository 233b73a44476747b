//! Which cameras a rule is for: `cam-0*`, `area:610802*`, either with `/main` or `/sub` behind it.

use crate::model::{StreamKey, StreamRole};

/// One pattern; `*` stands for any characters, `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraPattern {
    /// Of the area's code instead of the camera's id.
    area: bool,
    glob: String,
    role: Option<StreamRole>,
}

impl CameraPattern {
    /// `Err` says what is wrong, for the operator.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (rest, role) = match text.rsplit_once('/') {
            None => (text, None),
            Some((rest, role)) => match StreamRole::parse(role) {
                Some(role) => (rest, Some(role)),
                None => return Err("behind the `/` stands `main` or `sub`"),
            },
        };
        let (area, glob) = match rest.split_once(':') {
            None => (false, rest),
            Some(("area", glob)) => (true, glob),
            Some(_) => return Err("before the `:` stands `area`, or nothing"),
        };
        if glob.is_empty() {
            return Err("is empty; `*` names all cameras");
        }
        Ok(Self {
            area,
            glob: glob.to_owned(),
            role,
        })
    }

    pub fn names_areas(&self) -> bool {
        self.area
    }

    /// `area`: of the camera, if it is known (any longer).
    pub fn matches(&self, stream: &StreamKey, area: Option<&str>) -> bool {
        if self.role.is_some_and(|role| role != stream.role) {
            return false;
        }
        let text = if self.area {
            area
        } else {
            Some(stream.camera.as_str())
        };
        text.is_some_and(|text| glob(self.glob.as_bytes(), text.as_bytes()))
    }
}

/// Linear in the common case and never exponential: only the last `*` is gone back to.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&c) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => (p, t) = (p + 1, t + 1),
            Some(&q) if q == c => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((sp, st)) => {
                    star = Some((sp, st + 1));
                    (p, t) = (sp + 1, st + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CameraId;

    fn takes(pattern: &str, camera: &str, area: Option<&str>) -> bool {
        let key = StreamKey::main(CameraId::new(camera).unwrap());
        CameraPattern::parse(pattern).unwrap().matches(&key, area)
    }

    #[test]
    fn patterns_name_ids_areas_and_streams() {
        assert!(takes("*", "cam-1", None));
        assert!(takes("cam-0*", "cam-001", None));
        assert!(!takes("cam-0*", "cam-101", None));
        assert!(takes("*0?", "cam-001", None));
        assert!(takes("c*m*1", "cam-m-0-1", None));
        assert!(!takes("cam-00", "cam-001", None));
        assert!(takes("area:610802*", "x", Some("610802001")));
        assert!(!takes("area:610802*", "x", None));
        assert!(takes("cam*/main", "cam-1", None));
        assert!(!takes("cam*/sub", "cam-1", None));
        for bad in ["", "/sub", "cam/third", "class:x", "area:"] {
            assert!(CameraPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
