//! Where are things, and which?

use super::network::Network;
use super::onnx::Tensor;
use super::{TaskError, TaskOptions, higher};
use crate::EvalError;
use crate::metrics::{Measure, Metric, Outcome, Reference};
use image::RgbImage;

const F1: &str = "task.box-f1";
/// Most boxes that are compared: those of the highest scores.
const LIMIT: usize = 1000;

/// A thing that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Found {
    /// Left, top, right, bottom.
    sides: [f32; 4],
    score: f32,
    class: i64,
}

/// Agreement of boxes with those of the original.
pub(super) struct Detection {
    network: Network,
}

impl Detection {
    pub(super) fn open(options: &TaskOptions) -> Result<Self, TaskError> {
        let network = Network::open("detection", options)?;
        let config = &network.config.detection;
        for name in [&config.boxes, &config.scores, &config.classes]
            .into_iter()
            .flatten()
        {
            network.output(name)?;
        }
        Ok(Self { network })
    }

    /// Boxes in order of their scores.
    fn boxes(&self, picture: &RgbImage) -> Result<Vec<Found>, TaskError> {
        let mut outputs = self.network.all(picture)?.pop().unwrap_or_default();
        let config = &self.network.config.detection;
        let mut take = |name: &Option<String>, what: &str, pick: &dyn Fn(&Tensor) -> bool| {
            let found = outputs.iter().position(|output| match name {
                Some(name) => output.name == *name,
                None => pick(output),
            });
            found
                .map(|i| outputs.remove(i))
                .ok_or_else(|| TaskError::NoNode {
                    what: "output",
                    name: name.clone().unwrap_or_else(|| what.to_string()),
                    known: format!("{} others", outputs.len()),
                })
        };
        let boxes = take(&config.boxes, "boxes", &|output| {
            output.shape.len() > 1 && output.shape.last() == Some(&4)
        })?;
        let scores = match &config.classes {
            // Before the scores, so that those are what is left.
            Some(_) => None,
            None => take(&None, "classes", &|output| output.whole).ok(),
        };
        let (scores, classes) = match scores {
            Some(classes) => (take(&config.scores, "scores", &|_| true)?, classes),
            None => {
                let named = |output: &Tensor| config.classes.as_ref() != Some(&output.name);
                let scores = take(&config.scores, "scores", &named)?;
                (scores, take(&config.classes, "classes", &|_| true)?)
            }
        };
        if !matches!(boxes.shape.as_slice(), [_, 4] | [1, _, 4]) {
            return Err(boxes.unexpected("[n, 4] or [1, n, 4]"));
        }
        let count = boxes.data.len() / 4;
        for list in [&scores, &classes] {
            if list.data.len() != count {
                return Err(list.unexpected(format!("[{count}], one for each box")));
            }
        }
        let mut found: Vec<Found> = boxes
            .data
            .chunks_exact(4)
            .zip(scores.data.iter().zip(&classes.data))
            .filter_map(|(sides, (&score, &class))| {
                let sides = <[f32; 4]>::try_from(sides).ok()?;
                let finite = sides.iter().all(|side| side.is_finite());
                (finite && score >= config.score).then_some(Found {
                    sides,
                    score,
                    class: class as i64,
                })
            })
            .collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(LIMIT);
        Ok(found)
    }
}

fn overlap(a: &Found, b: &Found) -> f32 {
    let area = |s: [f32; 4]| (s[2] - s[0]).max(0.0) * (s[3] - s[1]).max(0.0);
    let (s, t) = (a.sides, b.sides);
    let common = area([
        s[0].max(t[0]),
        s[1].max(t[1]),
        s[2].min(t[2]),
        s[3].min(t[3]),
    ]);
    let union = area(s) + area(t) - common;
    if union > 0.0 { common / union } else { 0.0 }
}

/// Boxes that match: each takes the best one of its class that is left, those of high scores first.
fn matches(found: &[Found], wanted: &[Found], iou: f32) -> usize {
    let mut left: Vec<&Found> = wanted.iter().collect();
    let mut count = 0;
    for one in found {
        let best = left
            .iter()
            .enumerate()
            .filter(|(_, other)| other.class == one.class)
            .map(|(i, other)| (i, overlap(one, other)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((i, share)) = best
            && share >= iou
        {
            left.swap_remove(i);
            count += 1;
        }
    }
    count
}

struct Seen<'a> {
    task: &'a Detection,
    boxes: Vec<Found>,
}

impl Measure<RgbImage> for Detection {
    fn metrics(&self) -> Vec<Metric> {
        vec![higher(F1, "F1 of boxes of the original")]
    }

    fn reference<'a>(
        &'a self,
        _: &str,
        original: &'a RgbImage,
    ) -> Result<Box<dyn Reference<RgbImage> + 'a>, EvalError> {
        Ok(Box::new(Seen {
            task: self,
            boxes: self.boxes(original)?,
        }))
    }
}

impl Reference<RgbImage> for Seen<'_> {
    fn measure(&self, decoded: &RgbImage) -> Result<Outcome, EvalError> {
        let boxes = self.task.boxes(decoded)?;
        let iou = self.task.network.config.detection.iou;
        let right = matches(&boxes, &self.boxes, iou);
        let mut outcome = Outcome::default();
        // F1 is twice the matches over all boxes of both.
        let count = [2.0 * right as f64, (boxes.len() + self.boxes.len()) as f64];
        outcome.counts.insert(F1.into(), vec![count]);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sides: [f32; 4], score: f32, class: i64) -> Found {
        Found {
            sides,
            score,
            class,
        }
    }

    #[test]
    fn boxes_match_once() {
        let a = found([0.0, 0.0, 10.0, 10.0], 0.9, 1);
        let near = found([0.0, 0.0, 10.0, 8.0], 0.8, 1);
        assert!((overlap(&a, &near) - 0.8).abs() < 1e-6);
        assert_eq!(overlap(&a, &found([20.0, 0.0, 10.0, 5.0], 1.0, 1)), 0.0);
        assert_eq!(matches(&[a, near], &[a], 0.5), 1);
        assert_eq!(matches(&[near], &[a], 0.9), 0);
        assert_eq!(matches(&[near, a], &[near, a], 0.5), 2);
        assert_eq!(matches(&[found(a.sides, 0.9, 2)], &[a], 0.5), 0);
    }
}
