//! Single fields, read strictly. The `nmea` crate takes latitude 91, minute 60, `nan` knots and reads a two-digit longitude by
//! fixed columns; here each field is checked before the crate sees it, and written the one way that it reads right.

use crate::model::UtcMicros;

/// Longest numeric field: more digits are not precision but damage.
const MAX_DIGITS: usize = 20;

/// Digits, at most one point, an optional sign. `nan`, `inf` and exponents are not numbers here.
pub(super) fn decimal(field: &str, name: &str) -> Result<Option<f64>, String> {
    if field.is_empty() {
        return Ok(None);
    }
    let digits = field.strip_prefix(['-', '+']).unwrap_or(field);
    let plain = digits.len() <= MAX_DIGITS
        && digits.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.bytes().filter(|b| *b == b'.').count() <= 1;
    match field.parse() {
        Ok(n) if plain => Ok(Some(n)),
        _ => Err(format!(
            "{name} `{}` is not a number",
            super::super::shown(field)
        )),
    }
}

/// `ddmm.mmm` or `dddmm.mmm` as the crate wants it: degrees in exactly `degree_digits` digits. Minutes are counted from the point,
/// for there are devices that write two digits for a longitude below 100° (`1029.12850` is 10°29.1285′, never 102°).
pub(super) fn angle(field: &str, degree_digits: usize, name: &str) -> Result<String, String> {
    let wrong = |why: &str| format!("{name} `{}` {why}", super::super::shown(field));
    let (whole, fraction) = field.split_once('.').unwrap_or((field, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.len() < 3 || !all_digits(whole) || !all_digits(fraction) || field.len() > MAX_DIGITS {
        return Err(wrong("is not degrees and minutes"));
    }
    let (degrees, minutes) = whole
        .split_at_checked(whole.len() - 2)
        .ok_or_else(|| wrong("is not degrees and minutes"))?;
    if degrees.len() > degree_digits {
        return Err(wrong("has too many digits"));
    }
    let limit = if degree_digits == 2 { 90 } else { 180 };
    let (Ok(d), Ok(m)) = (degrees.parse::<u32>(), minutes.parse::<u32>()) else {
        return Err(wrong("is not degrees and minutes"));
    };
    if m >= 60 {
        return Err(wrong("has 60 minutes or more"));
    }
    let at_limit = d == limit && m == 0 && fraction.bytes().all(|b| b == b'0');
    if d >= limit && !at_limit {
        return Err(wrong(&format!("is beyond {limit} degrees")));
    }
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    Ok(format!("{degrees:0>degree_digits$}{minutes}.{fraction}"))
}

/// `hhmmss` or `hhmmss.sss` as microseconds of the day. Second 60 is a leap second.
pub(super) fn time_of_day(field: &str) -> Result<Option<i64>, String> {
    if field.is_empty() {
        return Ok(None);
    }
    let wrong = || format!("time `{}` is not hhmmss.sss", super::super::shown(field));
    let (whole, fraction) = field.split_once('.').unwrap_or((field, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.len() != 6 || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return Err(wrong());
    }
    let [h, m, s] = pairs(whole).ok_or_else(wrong)?;
    if h > 23 || m > 59 || s > 60 {
        return Err(format!("time `{field}` does not exist"));
    }
    let micros: String = format!("{fraction:0<6}").chars().take(6).collect();
    let micros: i64 = micros.parse().map_err(|_| wrong())?;
    Ok(Some((h * 3_600 + m * 60 + s) * 1_000_000 + micros))
}

/// `ddmmyy` as midnight. 80 to 99 are 19yy: the standard is of 1983, and a week count that rolled over shows as the nineties.
pub(super) fn date(field: &str) -> Result<Option<UtcMicros>, String> {
    if field.is_empty() {
        return Ok(None);
    }
    let wrong = || format!("date `{}` is not ddmmyy", super::super::shown(field));
    if field.len() != 6 || !field.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let [day, month, yy] = pairs(field).ok_or_else(wrong)?;
    let year = if yy >= 80 { 1900 + yy } else { 2000 + yy };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    if day < 1 || day > days {
        return Err(format!("date `{field}` does not exist"));
    }
    Ok(Some(UtcMicros::from_secs(
        days_since_1970(year, month, day) * 86_400,
    )))
}

fn pairs(six: &str) -> Option<[i64; 3]> {
    let pair = |from: usize| six.get(from..from + 2)?.parse().ok();
    Some([pair(0)?, pair(2)?, pair(4)?])
}

/// Proleptic Gregorian calendar: years counted from March, so that the leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let months_from_march = (month + 9) % 12;
    let day_of_year = (153 * months_from_march + 2) / 5 + day - 1;
    365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_are_counted_from_the_point() {
        assert_eq!(angle("1029.12850", 3, "longitude").unwrap(), "01029.12850");
        assert_eq!(angle("10944.07", 3, "longitude").unwrap(), "10944.07");
        assert_eq!(angle("3817", 2, "latitude").unwrap(), "3817.0");
        assert_eq!(angle("9000.000", 2, "latitude").unwrap(), "9000.000");
        assert_eq!(angle("18000.0", 3, "longitude").unwrap(), "18000.0");
        for bad in [
            "9000.001", "9100.0", "3860.0", "A", "", "12", "38 17.0", "-3817.0", "13817.0",
            "3817.1.2", "3817.1e1",
        ] {
            assert!(angle(bad, 2, "latitude").is_err(), "{bad}");
        }
        assert!(angle("18000.1", 3, "longitude").is_err());
    }

    #[test]
    fn times_and_dates_that_do_not_exist_are_refused() {
        assert_eq!(time_of_day("052345.77").unwrap(), Some(19_425_770_000));
        assert_eq!(time_of_day("235960").unwrap(), Some(86_400_000_000));
        assert_eq!(time_of_day("").unwrap(), None);
        for bad in ["240000", "126000", "235961", "12345", "123456.x", "1234567"] {
            assert!(time_of_day(bad).is_err(), "{bad}");
        }
        let day = |f: &str| date(f).unwrap().unwrap().to_string();
        assert_eq!(day("130422"), "2022-04-13T00:00:00.000000Z");
        assert_eq!(day("290200"), "2000-02-29T00:00:00.000000Z");
        assert_eq!(day("191194"), "1994-11-19T00:00:00.000000Z");
        assert_eq!(day("010180"), "1980-01-01T00:00:00.000000Z");
        assert_eq!(day("311279"), "2079-12-31T00:00:00.000000Z");
        for bad in ["000122", "320122", "290222", "011322", "0101", "x10122"] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_plain() {
        assert_eq!(decimal("-25.0", "altitude").unwrap(), Some(-25.0));
        assert_eq!(decimal("", "altitude").unwrap(), None);
        for bad in ["nan", "inf", "1e5", "--1", ".", "1.2.3", "1,5", " 1"] {
            assert!(decimal(bad, "speed").is_err(), "{bad}");
        }
    }
}
