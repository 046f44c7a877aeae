//! Events in words.

use std::time::Duration;

use codec::training::{Event, Measure, Metrics, StepMetrics, ValidationPoint};

/// A report of some steps, without their number.
pub fn step(m: &StepMetrics) -> String {
    let mut parts = vec![m.stage.clone(), format!("loss {:.4}", m.loss)];
    parts.extend(measures(&m.metrics));
    parts.push(format!("{:.1} crops/s", m.crops_per_second));
    parts.push(format!("waiting {:.0}%", 100.0 * m.waiting));
    parts.join("  ")
}

/// The usual measures that are there, with units.
pub fn measures(metrics: &Metrics) -> Vec<String> {
    let shown = |name| Some(Measure::find(name)?.text(*metrics.get(name)?));
    Measure::names()
        // Part of the rate, and of interest to a log only.
        .filter(|name| *name != "hyper_bpp")
        .filter_map(shown)
        .collect()
}

/// A line about anything but steps; `None` for what only a log file needs.
pub fn event(event: &Event) -> Option<String> {
    match event {
        Event::Start {
            step,
            total,
            files,
            skipped,
            parameters,
        } => Some(format!(
            "{parameters} parameters, {files} files ({skipped} skipped), step {step} of {total}"
        )),
        Event::Validation {
            step,
            score,
            best,
            points,
            ..
        } => {
            let point = |p: &ValidationPoint| {
                format!("q{:.0} {}", p.quality, measures(&p.metrics).join(" "))
            };
            let points: Vec<String> = points.iter().map(point).collect();
            let best = if *best { " (best)" } else { "" };
            Some(format!(
                "step {step}  validation {score:.4}{best}: {}",
                points.join(", ")
            ))
        }
        Event::Warning { message } => Some(format!("warning: {message}")),
        Event::Checkpoint { step } => {
            tracing::debug!("checkpoint at step {step}");
            None
        }
        // The error of the run says the same.
        Event::Fault { .. } | Event::Step(_) => None,
    }
}

/// A long time: `48 s`, `12 min`, `3 h 05 min`, `2 d 04 h`.
pub fn long_time(time: Duration) -> String {
    let minutes = (time.as_secs_f64() / 60.0).round() as u64;
    match (time.as_secs(), minutes) {
        (0..60, _) => format!("{} s", time.as_secs()),
        (_, 0..60) => format!("{minutes} min"),
        (_, 60..1440) => format!("{} h {:02} min", minutes / 60, minutes % 60),
        _ => format!("{} d {:02} h", minutes / 1440, minutes / 60 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn metrics(values: &[(&str, f64)]) -> Metrics {
        values.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect()
    }

    #[test]
    fn sound_and_pictures_show_their_own_measures() {
        let sound = measures(&metrics(&[("perplexity", 812.4), ("kbps", 6.0)]));
        assert_eq!(sound, ["6.00 kbit/s", "codebook perplexity 812"]);
        let picture = measures(&metrics(&[
            ("psnr", 33.333),
            ("bpp", 0.5),
            ("hyper_bpp", 0.1),
        ]));
        assert_eq!(picture, ["0.500 bpp", "33.33 dB"]);
    }

    #[test]
    fn long_times_fit_their_unit() {
        for (seconds, text) in [
            (48, "48 s"),
            (59, "59 s"),
            (720, "12 min"),
            (11_100, "3 h 05 min"),
            (187_200, "2 d 04 h"),
        ] {
            assert_eq!(long_time(Duration::from_secs(seconds)), text);
        }
    }
}
