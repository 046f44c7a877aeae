//! Batches made ahead of time, handed out in order.

use crate::{DatasetError, Sampler};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Most worker threads and most batches in the queue.
const MAX_COUNT: usize = 1024;

/// Something that makes the `k`-th batch, whenever and on whichever thread it is asked to.
pub trait BatchSource: Send + Sync + 'static {
    /// What it makes.
    type Batch: Send + 'static;

    /// The `k`-th batch; a function of `k` alone.
    fn make(&self, k: u64) -> Self::Batch;
}

struct State<T> {
    /// Next batch that a worker may claim.
    claim: u64,
    /// Next batch that the consumer will take.
    take: u64,
    ready: BTreeMap<u64, T>,
    /// The consumer is gone, or a worker died: everybody stops.
    stop: bool,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Signalled when a batch becomes ready.
    filled: Condvar,
    /// Signalled when a batch is taken.
    taken: Condvar,
    depth: u64,
}

impl<T> Shared<T> {
    // No code panics while it holds the lock, and every update is one assignment, so a poisoned state is still sound.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.lock().stop = true;
        self.filled.notify_all();
        self.taken.notify_all();
    }
}

/// Stops everybody when a worker unwinds, so that the consumer does not wait for ever.
struct Alarm<'a, T>(&'a Shared<T>);

impl<T> Drop for Alarm<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

/// Endless iterator over batches `start`, `start + 1`, ... of a [`Sampler`](crate::Sampler), prepared on other threads.
///
/// Order and content do not depend on the number of workers. At most `depth` batches are ready or in work at a time.
/// Ends early only if a worker dies. Dropping it stops the workers.
pub struct Prefetcher<S: BatchSource = Sampler> {
    shared: Arc<Shared<S::Batch>>,
    workers: Vec<JoinHandle<()>>,
    started: Option<Instant>,
    waited: Duration,
}

impl<S: BatchSource> std::fmt::Debug for Prefetcher<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefetcher")
            .field("workers", &self.workers.len())
            .field("depth", &self.shared.depth)
            .field("waited", &self.waited)
            .finish_non_exhaustive()
    }
}

impl<S: BatchSource> Prefetcher<S> {
    /// Starts `workers` threads with a queue of `depth` batches.
    ///
    /// # Errors
    /// `workers` or `depth` not in 1..=1024, or no thread to be had.
    pub fn spawn(
        sampler: Arc<S>,
        start: u64,
        workers: usize,
        depth: usize,
    ) -> Result<Self, DatasetError> {
        for (name, value) in [("number of workers", workers), ("queue depth", depth)] {
            if !(1..=MAX_COUNT).contains(&value) {
                return Err(DatasetError::BadParameter {
                    name,
                    value: value.to_string(),
                    expected: "1..=1024",
                });
            }
        }
        let state = State {
            claim: start,
            take: start,
            ready: BTreeMap::new(),
            stop: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            filled: Condvar::new(),
            taken: Condvar::new(),
            depth: depth as u64,
        });
        let mut prefetcher = Self {
            shared: shared.clone(),
            workers: Vec::new(),
            started: None,
            waited: Duration::ZERO,
        };
        for number in 0..workers {
            let (shared, sampler) = (shared.clone(), sampler.clone());
            let worker = std::thread::Builder::new()
                .name(format!("data-{number}"))
                .spawn(move || work(&shared, sampler.as_ref()))
                .map_err(DatasetError::Spawn)?;
            prefetcher.workers.push(worker);
        }
        Ok(prefetcher)
    }

    /// Share of the time since the first batch was asked for that was spent waiting for one, 0..1. Near 0 when the
    /// workers keep up; near 1 when the consumer starves.
    pub fn waited(&self) -> f64 {
        let total = self
            .started
            .map_or(0.0, |started| started.elapsed().as_secs_f64());
        if total > 0.0 {
            (self.waited.as_secs_f64() / total).min(1.0)
        } else {
            0.0
        }
    }
}

fn work<S: BatchSource>(shared: &Shared<S::Batch>, sampler: &S) {
    let _alarm = Alarm(shared);
    loop {
        let index = {
            let mut state = shared.lock();
            while !state.stop && state.claim.wrapping_sub(state.take) >= shared.depth {
                state = shared
                    .taken
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if state.stop {
                return;
            }
            let index = state.claim;
            state.claim = index.wrapping_add(1);
            index
        };
        let batch = sampler.make(index);
        shared.lock().ready.insert(index, batch);
        shared.filled.notify_one();
    }
}

impl<S: BatchSource> Iterator for Prefetcher<S> {
    type Item = S::Batch;

    fn next(&mut self) -> Option<S::Batch> {
        let asked = Instant::now();
        self.started.get_or_insert(asked);
        let mut state = self.shared.lock();
        let batch = loop {
            let wanted = state.take;
            if let Some(batch) = state.ready.remove(&wanted) {
                state.take = wanted.wrapping_add(1);
                break Some(batch);
            }
            if state.stop {
                break None;
            }
            state = self
                .shared
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        self.shared.taken.notify_one();
        self.waited += asked.elapsed();
        batch
    }
}

impl<S: BatchSource> Drop for Prefetcher<S> {
    fn drop(&mut self) {
        self.shared.stop();
        for worker in self.workers.drain(..) {
            // A worker that panicked has said so on standard error; there is nothing to add here.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Augment, Dataset, Picture, SampleConfig};

    fn sampler() -> Arc<Sampler> {
        let pixels = (0..80 * 60 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let dataset = Dataset::from_pictures(vec![Picture::new(80, 60, pixels).unwrap()]);
        let augment = Augment {
            rescale: Some((0.5, 1.0)),
            ..Augment::default()
        };
        let config = SampleConfig {
            size: 24,
            batch: 2,
            seed: 5,
            augment,
            ..SampleConfig::default()
        };
        Arc::new(Sampler::new(Arc::new(dataset), config).unwrap())
    }

    #[test]
    fn order_and_content_do_not_depend_on_workers() {
        let sampler = sampler();
        for (workers, depth) in [(1, 1), (1, 3), (4, 1), (4, 7), (3, 16)] {
            let prefetcher = Prefetcher::spawn(sampler.clone(), 11, workers, depth).unwrap();
            for (k, batch) in (11..41).zip(prefetcher) {
                assert_eq!(
                    batch.unwrap(),
                    sampler.batch(k).unwrap(),
                    "batch {k}, {workers} workers, depth {depth}"
                );
            }
        }
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut prefetcher = Prefetcher::spawn(sampler(), 0, 3, 4).unwrap();
        prefetcher.next().unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(prefetcher.shared.lock().claim <= 5);
    }

    #[test]
    fn waiting_is_measured() {
        let mut prefetcher = Prefetcher::spawn(sampler(), 0, 1, 2).unwrap();
        assert_eq!(prefetcher.waited(), 0.0);
        prefetcher.next().unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert!(prefetcher.waited() < 0.5);
    }

    #[test]
    fn a_dead_worker_ends_the_sequence() {
        let mut prefetcher = Prefetcher::spawn(sampler(), 0, 1, 1).unwrap();
        prefetcher.next().unwrap().unwrap();
        prefetcher.shared.stop();
        assert!(prefetcher.by_ref().take(5).count() <= 1);
        assert!(Prefetcher::spawn(sampler(), 0, 0, 1).is_err());
        assert!(Prefetcher::spawn(sampler(), 0, 1, 0).is_err());
    }
}
