//! What the dashboard knows of a run.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use codec::training::{Event, StepMetrics, ValidationPoint};

use crate::watch::text;

/// Messages kept.
const MESSAGES: usize = 500;
/// Validations kept for the table.
const VALIDATIONS: usize = 100;
/// Points of a curve; beyond, neighbours are averaged.
const POINTS: usize = 1024;
/// Reports that the speed is reckoned from.
const SPEED: usize = 10;

/// A curve that stays small however long a run is.
#[derive(Debug, Clone, Default)]
pub struct Curve {
    points: Vec<(f64, f64)>,
    /// Values gathered for the next point.
    gathered: Vec<(f64, f64)>,
    /// Values a point stands for is two to this power.
    halvings: u32,
}

impl Curve {
    fn push(&mut self, point: (f64, f64)) {
        if !point.1.is_finite() {
            return;
        }
        self.gathered.push(point);
        if self.gathered.len() < 1 << self.halvings {
            return;
        }
        self.points.push(mean(&self.gathered));
        self.gathered.clear();
        if self.points.len() > POINTS {
            self.points = self.points.chunks(2).map(mean).collect();
            self.halvings += 1;
        }
    }

    /// Step and value.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }
}

fn mean(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len().max(1) as f64;
    let (x, y) = points
        .iter()
        .fold((0.0, 0.0), |a, p| (a.0 + p.0, a.1 + p.1));
    (x / n, y / n)
}

/// A row of the table of validations.
#[derive(Debug, Clone)]
pub struct Row {
    /// Steps done.
    pub step: u64,
    /// Mean logarithm of the cost.
    pub score: f64,
    /// Whether no other of this run was better at that time.
    pub best: bool,
    /// One point a quality.
    pub points: Vec<ValidationPoint>,
}

/// A line for people.
#[derive(Debug)]
struct Message {
    text: String,
    /// Whether another part of the dashboard says the same.
    told: bool,
}

/// A run so far.
#[derive(Debug)]
pub struct State {
    /// Model.
    pub name: String,
    /// Steps of the whole run.
    pub total: u64,
    /// Steps done.
    pub step: u64,
    /// What the run said when it started.
    pub headline: String,
    /// Newest report.
    pub newest: Option<StepMetrics>,
    /// Curves of the loss and of each measure.
    pub curves: BTreeMap<String, Curve>,
    /// Validations, oldest first.
    pub validations: VecDeque<Row>,
    /// Messages, oldest first.
    messages: VecDeque<Message>,
    /// Step of the newest checkpoint.
    pub checkpoint: Option<u64>,
    /// Whether the user has asked for the end.
    pub stopping: bool,
    began: Option<Instant>,
    reports: VecDeque<(Instant, u64)>,
}

impl State {
    /// A run that has not started.
    pub fn new(name: &str, total: u64) -> Self {
        Self {
            name: name.to_owned(),
            total,
            step: 0,
            headline: String::new(),
            newest: None,
            curves: BTreeMap::new(),
            validations: VecDeque::new(),
            messages: VecDeque::new(),
            checkpoint: None,
            stopping: false,
            began: None,
            reports: VecDeque::new(),
        }
    }

    /// Takes an event in.
    pub fn event(&mut self, event: &Event, now: Instant) {
        if let Some(text) = text::event(event) {
            let told = matches!(event, Event::Validation { .. });
            self.push(Message { text, told });
        }
        match event {
            Event::Start { step, total, .. } => {
                (self.step, self.total) = (*step, *total);
                self.headline = text::event(event).unwrap_or_default();
                self.began = Some(now);
                self.reports.push_back((now, *step));
            }
            Event::Step(m) => {
                self.step = m.step;
                let x = m.step as f64;
                let mut push = |name: &str, value| {
                    let curve = self.curves.entry(name.to_owned()).or_default();
                    curve.push((x, value));
                };
                push("loss", m.loss);
                for (name, value) in &m.metrics {
                    push(name, *value);
                }
                self.newest = Some(m.clone());
                self.reports.push_back((now, m.step));
                if self.reports.len() > SPEED {
                    self.reports.pop_front();
                }
            }
            Event::Validation {
                step,
                score,
                best,
                points,
                ..
            } => {
                self.validations.push_back(Row {
                    step: *step,
                    score: *score,
                    best: *best,
                    points: points.clone(),
                });
                if self.validations.len() > VALIDATIONS {
                    self.validations.pop_front();
                }
            }
            Event::Checkpoint { step } => self.checkpoint = Some(*step),
            Event::Warning { .. } | Event::Fault { .. } => {}
        }
    }

    /// Adds a message.
    pub fn message(&mut self, text: String) {
        self.push(Message { text, told: false });
    }

    fn push(&mut self, message: Message) {
        self.messages.push_back(message);
        if self.messages.len() > MESSAGES {
            self.messages.pop_front();
        }
    }

    /// Messages that no other part of the dashboard shows, newest first.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        let untold = self.messages.iter().rev().filter(|m| !m.told);
        untold.map(|m| m.text.as_str())
    }

    /// All messages, oldest first.
    pub fn into_messages(self) -> impl Iterator<Item = String> {
        self.messages.into_iter().map(|m| m.text)
    }

    /// Time since this process started the run.
    pub fn elapsed(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.began?))
    }

    /// Time that is left, at the speed of the last reports; validations in between are part of it.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let (first, last) = (self.reports.front()?, self.reports.back()?);
        let steps = last.1.saturating_sub(first.1);
        if steps == 0 {
            return None;
        }
        let per_step = last.0.saturating_duration_since(first.0).as_secs_f64() / steps as f64;
        let left = self.total.saturating_sub(last.1) as f64 * per_step;
        let since = now.saturating_duration_since(last.0).as_secs_f64();
        Duration::try_from_secs_f64((left - since).max(0.0)).ok()
    }

    /// Share of the steps that are done.
    pub fn done(&self) -> f64 {
        (self.step as f64 / self.total.max(1) as f64).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn report(step: u64) -> Event {
        let t = step as f64;
        Event::Step(StepMetrics {
            step,
            stage: "float".into(),
            loss: 1.0 + 20.0 / t,
            metrics: [
                ("bpp".to_owned(), 0.4 + 2.0 / t),
                ("psnr".to_owned(), 30.0 - 90.0 / t),
            ]
            .into(),
            terms: Default::default(),
            gradient_norm: 0.25,
            lr: 4e-4,
            crops_per_second: 12.5,
            waiting: 0.02,
            pixels: step,
        })
    }

    #[test]
    fn time_left_follows_the_speed() {
        let mut state = State::new("m", 0);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let begin = Event::Start {
            step: 100,
            total: 1000,
            files: 9,
            skipped: 0,
            parameters: 7,
        };
        state.event(&begin, at(0));
        assert_eq!(state.left(at(5)), None);
        state.event(&report(120), at(10));
        state.event(&report(140), at(20));
        assert_eq!(state.left(at(20)), Some(Duration::from_secs(430)));
        assert_eq!(state.left(at(25)), Some(Duration::from_secs(425)));
        assert_eq!(state.elapsed(at(25)), Some(Duration::from_secs(25)));
        assert!((state.done() - 0.14).abs() < 1e-9);
        assert_eq!(state.curves["bpp"].points().len(), 2);
    }

    #[test]
    fn curves_stay_small() {
        let mut curve = Curve::default();
        for i in 0..10_000 {
            curve.push((f64::from(i), 2.0));
        }
        curve.push((0.0, f64::NAN));
        assert!(curve.points().len() <= POINTS && curve.points().len() > POINTS / 3);
        assert!(curve.points().iter().all(|p| (p.1 - 2.0).abs() < 1e-9));
        assert!(curve.points().windows(2).all(|w| w[0].0 < w[1].0));
    }
}
