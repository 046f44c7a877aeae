//! Does it still look or sound like itself?

use super::network::{Network, Subject};
use super::{TaskError, TaskOptions, higher};
use crate::metrics::{Measure, Metric, Outcome, Reference};
use crate::{Dataset, EvalError};

const COSINE: &str = "task.cosine";
const RETRIEVAL: &str = "task.retrieval";
/// Most numbers of a gallery.
const LIMIT: usize = 1 << 28;

/// Similarity of embeddings, and whether a file is nearest to its own original among all originals.
pub(super) struct Embedding {
    network: Network,
    /// Embeddings of all originals by name, of length 1.
    gallery: Vec<(String, Vec<f32>)>,
}

impl Embedding {
    /// Looks at every original once; those that cannot be read or embedded are left out, and fail when their turn comes.
    pub(super) fn open<M: Subject>(
        options: &TaskOptions,
        originals: Option<&Dataset<M>>,
    ) -> Result<Self, TaskError> {
        let mut task = Self {
            network: Network::open("embedding", options)?,
            gallery: Vec::new(),
        };
        let mut size = 0;
        for item in originals.iter().flat_map(|data| &data.items) {
            let loaded = originals.and_then(|data| data.load(item).ok());
            let Some(embedding) = loaded.and_then(|original| task.embed(&original).ok()) else {
                continue;
            };
            size += embedding.len();
            if size > LIMIT {
                return Err(TaskError::TooLarge {
                    what: "gallery of embeddings",
                    actual: size,
                    limit: LIMIT,
                });
            }
            task.gallery.push((item.name.clone(), embedding));
        }
        Ok(task)
    }

    fn embed<M: Subject>(&self, subject: &M) -> Result<Vec<f32>, TaskError> {
        let mut embedding = self.network.mean(subject)?.data;
        let square: f64 = embedding.iter().map(|&v| f64::from(v).powi(2)).sum();
        if square > 0.0 {
            let length = square.sqrt();
            for value in &mut embedding {
                *value = (f64::from(*value) / length) as f32;
            }
        }
        Ok(embedding)
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product = |(&a, &b): (&f32, &f32)| f64::from(a) * f64::from(b);
    a.iter().zip(b).map(product).sum()
}

struct Seen<'a> {
    task: &'a Embedding,
    file: String,
    embedding: Vec<f32>,
}

impl<M: Subject> Measure<M> for Embedding {
    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = vec![higher(COSINE, "cosine of embeddings")];
        if self.gallery.len() > 1 {
            metrics.push(higher(RETRIEVAL, "nearest to its original"));
        }
        metrics
    }

    fn reference<'a>(
        &'a self,
        file: &str,
        original: &'a M,
    ) -> Result<Box<dyn Reference<M> + 'a>, EvalError> {
        Ok(Box::new(Seen {
            task: self,
            file: file.to_owned(),
            embedding: self.embed(original)?,
        }))
    }
}

impl<M: Subject> Reference<M> for Seen<'_> {
    fn measure(&self, decoded: &M) -> Result<Outcome, EvalError> {
        let embedding = self.task.embed(decoded)?;
        let own = cosine(&embedding, &self.embedding);
        let mut outcome = Outcome::value(COSINE, own);
        if self.task.gallery.len() > 1 {
            let others = self
                .task
                .gallery
                .iter()
                .filter(|(file, _)| *file != self.file);
            let nearest = others
                .map(|(_, other)| cosine(&embedding, other))
                .all(|other| other <= own);
            outcome.merge(Outcome::value(RETRIEVAL, f64::from(u8::from(nearest))));
        }
        Ok(outcome)
    }
}
