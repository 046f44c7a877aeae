//! The conditions under which figures were taken.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Named conditions: versions, machine, threads, date, command.
pub type Environment = BTreeMap<String, String>;

/// What is known without asking: this crate's version, system, processor, threads in use and date (UTC).
pub fn environment() -> Environment {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    let entries = [
        ("codec-eval", env!("CARGO_PKG_VERSION").to_string()),
        (
            "system",
            format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        ),
        ("processor", processor()),
        ("threads", rayon::current_num_threads().to_string()),
        ("date", format!("{year:04}-{month:02}-{day:02}")),
    ];
    entries
        .into_iter()
        .map(|(key, value)| (key.to_string(), value))
        .collect()
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(
        || "unknown".to_string(),
        |(_, name)| name.trim().to_string(),
    )
}

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| {
        (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(59), (1970, 3, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_453), (2025, 12, 31));
    }

    #[test]
    fn says_what_matters() {
        let environment = environment();
        for key in ["codec-eval", "system", "processor", "threads", "date"] {
            assert!(
                environment.get(key).is_some_and(|value| !value.is_empty()),
                "{key}"
            );
        }
    }
}
