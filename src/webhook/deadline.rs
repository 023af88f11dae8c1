//! How long the API server waits for an answer.

use std::time::Duration;

/// Left for the way back and for writing the answer.
const MARGIN: Duration = Duration::from_millis(500);

/// The `timeout` parameter of a request, as Go writes durations: `10s`,
/// `1m30s`, `1.5s`. `None` where there is none.
///
/// # Errors
/// A text where it is something else.
pub(super) fn asked(query: Option<&str>) -> Result<Option<Duration>, String> {
    let mut values = query
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('=').filter(|(name, _)| *name == "timeout"));
    let Some((_, value)) = values.next() else { return Ok(None) };
    match (go_duration(value), values.next()) {
        (Some(duration), None) => Ok(Some(duration)),
        (Some(_), Some(_)) | (None, _) => {
            Err("`timeout` is one duration as Go writes it; ask with ?timeout=10s".to_owned())
        }
    }
}

/// What of the API server's patience may be used: a tenth is kept, half a
/// second at most.
pub(super) fn usable(patience: Duration, longest: Duration) -> Duration {
    let patience = patience.min(longest);
    patience.saturating_sub(MARGIN.min(patience / 10))
}

/// Parses what Go's `Duration.String` writes (`time.ParseDuration`, without
/// signs).
pub fn go_duration(text: &str) -> Option<Duration> {
    let mut total = 0.0_f64;
    let mut rest = text;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        if tail.is_empty() {
            return Duration::try_from_secs_f64(total).ok();
        }
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let seconds = |text| go_duration(text).map(|d| d.as_secs_f64());
        assert_eq!(seconds("10s"), Some(10.0));
        assert_eq!(seconds("1m30s"), Some(90.0));
        assert_eq!(seconds("1.5s"), Some(1.5));
        assert_eq!(seconds("500ms"), Some(0.5));
        assert_eq!(seconds("0s"), Some(0.0));
        let long = "9".repeat(400);
        for wrong in ["", "10", "s", "-1s", "1d", "1s2", "1..5s", "1e9s", "∞", long.as_str()] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
        assert_eq!(seconds(&format!("{}h", "9".repeat(400))), None);
    }

    #[test]
    fn the_timeout_is_one_parameter_of_the_query() {
        assert_eq!(asked(None), Ok(None));
        assert_eq!(asked(Some("a=b&timeout=2s")), Ok(Some(Duration::from_secs(2))));
        assert!(asked(Some("timeout=soon")).is_err());
        assert!(asked(Some("timeout=2s&timeout=20s")).is_err());
    }

    #[test]
    fn something_is_left_for_the_way_back() {
        let usable = |ms| usable(Duration::from_millis(ms), Duration::from_secs(30)).as_millis();
        assert_eq!(usable(10_000), 9_500);
        assert_eq!(usable(1_000), 900);
        assert_eq!(usable(3_600_000), 29_500);
        assert_eq!(usable(0), 0);
    }
}
