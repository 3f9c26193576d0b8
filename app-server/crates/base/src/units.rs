//! Numbers with a unit, as users write them.

use std::time::Duration;

/// Reads "500ms", "2s", "30min", "1h": a whole number and a unit.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(milliseconds)?))
}

/// Reads "64KiB", "512MiB", "2GiB": a whole number and a unit; and "0". In bytes.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let bytes = match unit {
        "" if number == "0" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(bytes)
}

fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    (number, unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_its_unit() {
        assert_eq!(parse_duration("500 ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("1h"), Some(Duration::from_hours(1)));
        assert_eq!(parse_size("0"), Some(0));
        assert_eq!(parse_size("2GiB"), Some(2 << 30));
        for wrong in ["", "1", "1.5s", "-1s", "ms", "1d", "99999999999999999999s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
        for wrong in ["", "1", "KiB", "1kb", "99999999999GiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
