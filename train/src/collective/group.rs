//! Replicas on the devices of one machine: a thread each, over `burn-collective`.

use std::any::TypeId;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use burn::module::AutodiffModule;
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend, BackendTypes};
use burn::tensor::{Tensor, TensorPrimitive};
use burn_collective::{CollectiveConfig, PeerId, ReduceOperation};

use super::nodes::Exchange;
use super::{CollectiveError, Nodes, Replica, Share};
use crate::{Exchange as Members, TrainError};

/// Backends whose collective server is in use; Burn keeps one a backend and process.
static BUSY: Mutex<Vec<TypeId>> = Mutex::new(Vec::new());
/// How often the watch looks for replicas that wait in vain.
const WATCH_EVERY: Duration = Duration::from_millis(200);
/// How long a replica may wait after another has ended; results reach all within much less.
const GRACE: Duration = Duration::from_secs(10);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to use a backend's collective server.
struct Claim(TypeId);

impl Claim {
    fn new<B: Backend>() -> Result<Self, CollectiveError> {
        let id = TypeId::of::<B>();
        let mut busy = lock(&BUSY);
        if busy.contains(&id) {
            return Err(CollectiveError::Busy);
        }
        busy.push(id);
        Ok(Self(id))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&BUSY).retain(|id| *id != self.0);
    }
}

/// What the replicas of a machine know of each other.
struct Group {
    timeout: Duration,
    first_rank: usize,
    state: Mutex<State>,
    /// Signalled when `State::running` becomes 0.
    over: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    /// Since when each replica waits for the others.
    waiting: Vec<Option<Instant>>,
    /// When the first replica ended.
    ended: Option<(usize, Instant)>,
    /// Why the group has come apart.
    failure: Option<CollectiveError>,
}

impl Group {
    /// Lets the group come apart: all that wait now or later get an error.
    fn fail<B: Backend>(&self, state: &mut State, why: CollectiveError) {
        if state.failure.is_none() {
            state.failure = Some(why);
            // Forgets the pending operation, which wakes those who wait for it.
            burn_collective::reset_collective::<B>();
        }
    }

    fn failure(&self, otherwise: impl std::fmt::Debug) -> CollectiveError {
        lock(&self.state)
            .failure
            .clone()
            .unwrap_or_else(|| CollectiveError::Operation(format!("{otherwise:?}")))
    }

    /// Ends when all replicas have; until then, ends the waiting of those that wait in vain.
    fn watch<B: Backend>(&self) {
        let mut state = lock(&self.state);
        while state.running > 0 {
            (state, _) = self
                .over
                .wait_timeout(state, WATCH_EVERY)
                .unwrap_or_else(PoisonError::into_inner);
            let longest = state
                .waiting
                .iter()
                .enumerate()
                .filter_map(|(i, since)| Some((i, (*since)?.elapsed())))
                .max_by_key(|(_, waited)| *waited);
            let Some((index, waited)) = longest else {
                continue;
            };
            if waited > self.timeout {
                let why = CollectiveError::TimedOut {
                    rank: self.first_rank + index,
                    seconds: self.timeout.as_secs(),
                };
                self.fail::<B>(&mut state, why);
            } else if let Some((rank, when)) = state.ended
                && waited > GRACE
                && when.elapsed() > GRACE
            {
                let reason = "it ended before the others".to_owned();
                self.fail::<B>(&mut state, CollectiveError::Lost { rank, reason });
            }
        }
    }
}

/// One replica of [`run`].
pub struct Peer<B: Backend> {
    index: usize,
    share: Share,
    device: <B as BackendTypes>::Device,
    group: Arc<Group>,
    /// The other nodes; replica 0 of a node speaks for it.
    exchange: Option<Arc<Mutex<Exchange<B>>>>,
}

impl<B: Backend> Peer<B> {
    /// Does something that needs the other replicas, under the eyes of the watch.
    fn together<T>(
        &self,
        operation: impl FnOnce() -> Result<T, CollectiveError>,
    ) -> Result<T, CollectiveError> {
        let set = |value: Option<Instant>| {
            let mut state = lock(&self.group.state);
            if let Some(slot) = state.waiting.get_mut(self.index) {
                *slot = value;
            }
            state.failure.clone()
        };
        if let Some(failure) = set(Some(Instant::now())) {
            set(None);
            return Err(failure);
        }
        let result = operation();
        set(None);
        result
    }

    fn id(&self) -> PeerId {
        PeerId::from(self.index)
    }

    fn register(
        &self,
        device: &<B as BackendTypes>::Device,
        of: usize,
    ) -> Result<(), CollectiveError> {
        let config = CollectiveConfig::default().with_num_devices(of);
        burn_collective::register::<B>(self.id(), device.clone(), config)
            .map_err(|e| self.group.failure(e))
    }
}

impl<B: Backend> Replica<B> for Peer<B> {
    fn share(&self) -> Share {
        self.share
    }

    fn sum(&mut self, flat: Tensor<B, 1>) -> Result<Tensor<B, 1>, CollectiveError> {
        let device = flat.device();
        let id = self.id();
        let sum = self.together(|| {
            burn_collective::all_reduce::<B>(
                id,
                flat.into_primitive().tensor(),
                ReduceOperation::Sum,
            )
            .map_err(|e| self.group.failure(e))
        })?;
        let sum = Tensor::from_primitive(TensorPrimitive::Float(sum));
        let Some(exchange) = &self.exchange else {
            return Ok(sum);
        };
        let total = if self.index == 0 {
            let values = super::read(sum)?;
            let n = values.len();
            let total = lock(exchange).sum(values)?;
            let data = burn::tensor::TensorData::new(total, [n]);
            Some(Tensor::<B, 1>::from_data(data, &device))
        } else {
            None
        };
        let total = self.together(|| {
            burn_collective::broadcast::<B>(id, total.map(|t| t.into_primitive().tensor()))
                .map_err(|e| self.group.failure(e))
        })?;
        Ok(Tensor::from_primitive(TensorPrimitive::Float(total)))
    }
}

impl<B: AutodiffBackend> Members<B> for Peer<B::InnerBackend> {
    fn members(&self) -> usize {
        self.share.of
    }

    fn rank(&self) -> usize {
        self.share.rank
    }

    fn exchange<M: AutodiffModule<B>>(
        &mut self,
        module: &M,
        mut gradients: GradientsParams,
    ) -> Result<GradientsParams, TrainError> {
        super::mean_gradients::<B, M>(self, module, &mut gradients, &mut [])?;
        Ok(gradients)
    }

    fn agree(&mut self, stop: bool) -> Result<bool, TrainError> {
        let mut stops = [f64::from(u8::from(stop))];
        Members::<B>::mean(self, &mut stops)?;
        Ok(stops[0] > 0.0)
    }

    fn mean(&mut self, figures: &mut [f64]) -> Result<(), TrainError> {
        let device = self.device.clone();
        Ok(super::mean(self, figures, &device)?)
    }

    fn same(&mut self, number: u64, what: &'static str) -> Result<(), TrainError> {
        let device = self.device.clone();
        Ok(super::agree(self, number, what, &device)?)
    }
}

/// Runs `work` once a device, each in a thread of its own, and gives what the first of them returns.
///
/// With `nodes`, the devices of all nodes work together; every node must have as many. `timeout` bounds how long a
/// replica waits for the others in one operation; it must be longer than a validation. When a replica fails or panics,
/// the others get [`CollectiveError::Lost`] from their next operation, and the call returns the first failure.
///
/// # Errors
/// What `work` returned first, [`CollectiveError::Busy`], and whatever keeps the nodes from finding each other.
pub fn run<B, T, E>(
    devices: &[<B as BackendTypes>::Device],
    nodes: Option<&Nodes>,
    timeout: Duration,
    work: impl Fn(Peer<B>, &<B as BackendTypes>::Device) -> Result<T, E> + Sync,
) -> Result<T, E>
where
    B: Backend,
    T: Send,
    E: From<CollectiveError> + std::fmt::Display + Send,
{
    let of = devices.len();
    if of == 0 {
        return Err(CollectiveError::Setup("no devices".into()).into());
    }
    let claim = Claim::new::<B>()?;
    let exchange = match nodes {
        Some(nodes) => Some(Arc::new(Mutex::new(Exchange::<B>::open(
            nodes,
            of,
            devices.first(),
            timeout,
        )?))),
        None => None,
    };
    let (node, count) = nodes.map_or((0, 1), |n| (n.rank, n.count));
    let group = Arc::new(Group {
        timeout,
        first_rank: node * of,
        state: Mutex::new(State {
            running: of,
            waiting: vec![None; of],
            ..State::default()
        }),
        over: Condvar::new(),
    });
    // Results of the replicas, and which failed first.
    let results: Mutex<Vec<(usize, Result<T, E>)>> = Mutex::new(Vec::new());
    let replica = |index: usize, device: &<B as BackendTypes>::Device| {
        let share = Share {
            rank: node * of + index,
            of: count * of,
        };
        let peer = Peer {
            index,
            share,
            device: device.clone(),
            group: group.clone(),
            exchange: exchange.clone(),
        };
        let result = catch_unwind(AssertUnwindSafe(|| {
            peer.register(device, of)?;
            work(peer, device)
        }))
        .unwrap_or_else(|panic| {
            let message = panic
                .downcast_ref::<&str>()
                .map(|s| (*s).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".into());
            Err(CollectiveError::Lost {
                rank: share.rank,
                reason: format!("panicked: {message}"),
            }
            .into())
        });
        let why = result.as_ref().err().map(|error| CollectiveError::Lost {
            rank: share.rank,
            reason: error.to_string(),
        });
        // The first result is the cause: it is noted before the others learn of it.
        lock(&results).push((index, result));
        let mut state = lock(&group.state);
        if let Some(why) = why {
            group.fail::<B>(&mut state, why);
        }
        state.ended.get_or_insert((share.rank, Instant::now()));
        state.running -= 1;
        group.over.notify_all();
    };
    std::thread::scope(|scope| {
        for (index, device) in devices.iter().enumerate() {
            let replica = &replica;
            scope.spawn(move || replica(index, device));
        }
        group.watch::<B>();
    });
    // Everybody has left: empty the server's list of peers for the next run.
    burn_collective::reset_collective::<B>();
    if let Some(exchange) = exchange {
        lock(&exchange).close();
    }
    drop(claim);
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut first = None;
    for (index, result) in results {
        match result {
            Err(error) => return Err(error),
            Ok(value) if index == 0 => first = Some(value),
            Ok(_) => {}
        }
    }
    first.ok_or_else(|| CollectiveError::Setup("no replica returned".into()).into())
}
