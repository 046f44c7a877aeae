//! Axes with round ticks, linear or logarithmic, of one type.

use std::ops::Range;

use plotters::coord::ranged1d::{
    KeyPointHint, NoDefaultFormatting, Ranged, ReversibleRanged, ValueFormatter,
};

/// An axis of a chart.
#[derive(Debug, Clone, Default)]
pub struct Axis {
    /// What it measures, with the unit in parentheses.
    pub label: String,
    /// Powers of ten at equal distances instead of equal differences. Values that are not positive are not drawn.
    pub log: bool,
    /// Smallest and largest value; what the data needs if absent.
    pub range: Option<(f64, f64)>,
}

impl Axis {
    /// A linear axis.
    pub fn linear(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            ..Self::default()
        }
    }

    /// A logarithmic axis.
    pub fn log(label: impl Into<String>) -> Self {
        Self {
            log: true,
            ..Self::linear(label)
        }
    }

    /// The same axis with fixed ends.
    #[must_use]
    pub fn within(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// Whether a value has a place on this axis.
    pub(super) fn takes(&self, value: f64) -> bool {
        value.is_finite() && (!self.log || value > 0.0)
    }

    /// The axis for these values, with about `ticks` ticks. `None` without a value.
    pub(super) fn span(&self, values: impl Iterator<Item = f64>, ticks: usize) -> Option<Span> {
        let data =
            values
                .filter(|v| self.takes(*v))
                .fold(None, |ends: Option<(f64, f64)>, v| {
                    let (low, high) = ends.unwrap_or((v, v));
                    Some((low.min(v), high.max(v)))
                })?;
        let (low, high) = match self.range {
            Some(range) => range,
            None if self.log => {
                let margin = (data.1 / data.0).powf(0.05).max(1.02);
                (data.0 / margin, data.1 * margin)
            }
            None => {
                let margin = ((data.1 - data.0) * 0.05)
                    .max(data.1.abs() * 1e-3)
                    .max(1e-6);
                (data.0 - margin, data.1 + margin)
            }
        };
        Some(Span::new(low, high, self.log && low > 0.0, ticks.max(2)))
    }
}

/// A drawn axis: its ends and ticks.
#[derive(Debug, Clone)]
pub(super) struct Span {
    low: f64,
    high: f64,
    log: bool,
    ticks: Vec<f64>,
    /// Distance of two ticks where they stand at equal differences.
    step: Option<f64>,
}

impl Span {
    fn new(low: f64, high: f64, log: bool, ticks: usize) -> Self {
        let powers = log.then(|| log_ticks(low, high, ticks)).flatten();
        let (ticks, step) = match powers {
            Some(ticks) => (ticks, None),
            None => {
                let ticks = linear_ticks(low, high, ticks);
                let pair = ticks.first().zip(ticks.get(1));
                let step = pair.map(|(a, b)| b - a);
                (ticks, step.or(Some(high - low)))
            }
        };
        Self {
            low,
            high,
            log,
            ticks,
            step,
        }
    }

    /// A tick in words: `0.25`, `1500`, `20k`, `3M`.
    pub(super) fn text(&self, value: f64) -> String {
        if value == 0.0 {
            return "0".into();
        }
        let largest = self.low.abs().max(self.high.abs());
        let (unit, name) = match self.step.map_or(value.abs(), |_| largest) {
            v if v >= 1e12 => (1e12, "T"),
            v if v >= 1e9 => (1e9, "G"),
            v if v >= 1e6 => (1e6, "M"),
            v if v >= 1e4 || (self.step.is_none() && v >= 1e3) => (1e3, "k"),
            _ => (1.0, ""),
        };
        // Powers of ten are round themselves; elsewhere the distance of ticks is.
        let finest = self.step.unwrap_or(value.abs());
        let digits = (-(finest / unit * 1.001).log10().floor()).clamp(0.0, 9.0) as usize;
        format!("{:.digits$}{name}", value / unit)
    }
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear_ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let rough = (high - low) / count as f64;
    if !(rough.is_finite() && rough > 0.0) {
        return Vec::new();
    }
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    let first = (low / step - 1e-9).ceil() as i64;
    (0..=2 * count as i64)
        .map(|i| (first + i) as f64 * step)
        .take_while(|tick| *tick <= high + 1e-9 * step)
        .collect()
}

/// 1, 2 and 5 times powers of ten, or the powers alone where there are many; `None` where fewer than three fit.
fn log_ticks(low: f64, high: f64, count: usize) -> Option<Vec<f64>> {
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let ticks = |factors: &[f64], every: usize| -> Vec<f64> {
        let all = decades.clone().step_by(every).flat_map(|d| {
            let power = 10f64.powi(d);
            factors.iter().map(move |f| f * power).collect::<Vec<_>>()
        });
        all.filter(|t| *t >= low * 0.999_999 && *t <= high * 1.000_001)
            .collect()
    };
    let mut found = ticks(&[1.0, 2.0, 5.0], 1);
    let mut every = 1;
    while found.len() > count && every < 64 {
        found = ticks(&[1.0], every);
        every *= 2;
    }
    (found.len() >= 3).then_some(found)
}

impl Ranged for Span {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        // A point far outside stays where pixel numbers do not overflow.
        let share = share.clamp(-1.0, 2.0);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    /// Grid lines stand at the labelled ticks only.
    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.clone(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ReversibleRanged for Span {
    fn unmap(&self, input: i32, limit: (i32, i32)) -> Option<f64> {
        let share = f64::from(input - limit.0) / f64::from(limit.1 - limit.0);
        Some(if self.log {
            self.low * (self.high / self.low).powf(share)
        } else {
            self.low + (self.high - self.low) * share
        })
    }
}

impl ValueFormatter<f64> for Span {
    fn format_ext(&self, value: &f64) -> String {
        self.text(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, ends: (f64, f64), ticks: usize) -> Vec<String> {
        let axis = axis.clone().within(ends.0, ends.1);
        let span = axis.span([1.0].into_iter(), ticks).unwrap();
        span.ticks.iter().map(|t| span.text(*t)).collect()
    }

    #[test]
    fn ticks_are_round() {
        let linear = Axis::linear("");
        assert_eq!(labels(&linear, (0.0, 1.03), 5), ["0", "0.5", "1.0"]);
        assert_eq!(
            labels(&linear, (27.4, 33.2), 6),
            ["28", "29", "30", "31", "32", "33"]
        );
        assert_eq!(
            labels(&linear, (0.0, 24e3), 5),
            ["0", "5k", "10k", "15k", "20k"]
        );
        let log = Axis::log("");
        assert_eq!(
            labels(&log, (0.9, 110.0), 8),
            ["1", "2", "5", "10", "20", "50", "100"]
        );
        assert_eq!(labels(&log, (1e-5, 1e5), 6).len(), 6);
        assert_eq!(
            labels(&log, (0.0009, 0.03), 6),
            ["0.001", "0.002", "0.005", "0.01", "0.02"]
        );
        assert_eq!(labels(&log, (0.94, 1.06), 4), ["0.95", "1.00", "1.05"]);
        // Too narrow for powers: equal differences.
        assert_eq!(labels(&log, (1.0, 1.3), 4), ["1.0", "1.1", "1.2", "1.3"]);
    }

    #[test]
    fn values_without_a_place_are_left_out() {
        let log = Axis::log("");
        assert!(log.span([0.0, -1.0, f64::NAN].into_iter(), 4).is_none());
        let span = log.span([0.0, 1.0, 100.0].into_iter(), 4).unwrap();
        assert!(span.low > 0.5 && span.map(&10.0, (0, 1000)) == 500);
        assert_eq!(
            Axis::linear("")
                .span([3.0].into_iter(), 4)
                .unwrap()
                .map(&3.0, (0, 100)),
            50
        );
    }
}
