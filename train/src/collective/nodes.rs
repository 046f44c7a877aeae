//! Replicas on several machines.
//!
//! The nodes find each other through Burn's global orchestrator and one all-reduce over `burn-collective`, in which
//! each tells where it listens. That is all that the global level of `burn-collective` 0.21 can do: its closing barrier
//! (`SyncService::sync`) clears a copy of its list instead of the list, so a second global all-reduce waits for ever.
//! From then on the nodes exchange vectors through Burn's tensor data service, the same one that `burn-collective`
//! uses: of every vector node `i` collects and sums the `i`-th part, and the others fetch the sum from it.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use burn::tensor::backend::{Backend, BackendTypes};
use burn::tensor::{Tensor, TensorData, TensorPrimitive};
use burn_collective::{AllReduceStrategy, CollectiveConfig, PeerId, ReduceOperation};
use burn_communication::data_service::{TensorDataServer, TensorDataService};
use burn_communication::websocket::{WebSocket, WsServer};
use burn_communication::{Address, ProtocolServer};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::{CollectiveError, read};

/// Longest address.
const ADDRESS: usize = 255;
/// Numbers that a node tells of itself: 1, its devices, the length of its address, the address.
const SLOT: usize = 3 + ADDRESS;
/// Largest vector of one exchange; longer ones go in pieces. Burn's WebSocket frames end at 512 MiB.
const PIECE: usize = 16 << 20;
/// The data service forgets to wake a waiting request once in a while (it looks, then begins to listen): wake them all
/// this often.
const NUDGE: Duration = Duration::from_millis(20);

/// Where this machine stands among several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    /// Number of machines.
    pub count: usize,
    /// Number of this machine, from 0.
    pub rank: usize,
    /// Where [`coordinate`] runs, `HOST:PORT`.
    pub coordinator: String,
    /// Where the other machines reach this one, `HOST:PORT`; the port after it is used, too.
    pub address: String,
}

impl Nodes {
    /// Checks the numbers and addresses; gives host and port of this machine.
    fn check(&self) -> Result<(&str, u16), CollectiveError> {
        let bad = |reason: String| Err(CollectiveError::Setup(reason));
        if self.count < 2 {
            return bad(format!("{} nodes (expected 2 or more)", self.count));
        }
        if self.rank >= self.count {
            let last = self.count - 1;
            return bad(format!("node rank {} (expected 0..={last})", self.rank));
        }
        if self.address.len() > ADDRESS {
            let n = self.address.len();
            return bad(format!("address of {n} bytes (expected at most {ADDRESS})"));
        }
        split(&self.coordinator)?;
        split(&self.address)
    }
}

/// Host and port.
fn split(address: &str) -> Result<(&str, u16), CollectiveError> {
    address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)))
        .filter(|(host, port)| {
            !host.is_empty() && !host.contains('/') && (1..u16::MAX).contains(port)
        })
        .ok_or_else(|| CollectiveError::Setup(format!("address '{address}' (expected HOST:PORT)")))
}

fn url(host: &str, port: u16) -> Result<Address, CollectiveError> {
    format!("ws://{host}:{port}")
        .parse()
        .map_err(CollectiveError::Setup)
}

fn free(port: u16) -> Result<(), CollectiveError> {
    TcpListener::bind(("0.0.0.0", port))
        .map(drop)
        .map_err(|e| CollectiveError::Setup(format!("cannot listen on port {port}: {e}")))
}

fn runtime() -> Result<Runtime, CollectiveError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| CollectiveError::Setup(e.to_string()))
}

/// Runs Burn's global orchestrator, through which the nodes of one run find each other, until the process is told to
/// stop (interrupt or termination signal).
///
/// It remembers the number of nodes and those that did not leave in good order: start one for every run.
///
/// # Errors
/// [`CollectiveError::Setup`] when the port cannot be had.
pub fn coordinate(port: u16) -> Result<(), CollectiveError> {
    free(port)?;
    runtime()?.block_on(burn_collective::start_global_orchestrator(port));
    Ok(())
}

/// One all-reduce over `burn-collective`: what all nodes tell of themselves, by rank.
fn meet<B: Backend>(
    nodes: &Nodes,
    mine: &[f32],
    device: &<B as BackendTypes>::Device,
    timeout: Duration,
) -> Result<Vec<f32>, CollectiveError> {
    let (host, port) = nodes.check()?;
    let (coordinator, coordinator_port) = split(&nodes.coordinator)?;
    let config = CollectiveConfig::default()
        .with_num_devices(1)
        .with_num_nodes(nodes.count as u32)
        .with_global_address(url(coordinator, coordinator_port)?)
        .with_node_address(url(host, port)?)
        .with_data_service_port(port)
        .with_global_all_reduce_strategy(AllReduceStrategy::Centralized);
    let mut table = vec![0.0; nodes.count * SLOT];
    if let Some(slot) = table.chunks_mut(SLOT).nth(nodes.rank) {
        slot.iter_mut().zip(mine).for_each(|(to, from)| *to = *from);
    }
    let id = PeerId::from(nodes.rank);
    let device = device.clone();
    let (sender, receiver) = mpsc::channel();
    // Burn waits for ever for a coordinator that is not there, and for nodes that do not come.
    std::thread::spawn(move || {
        let n = table.len();
        let result = burn_collective::register::<B>(id, device.clone(), config).and_then(|()| {
            let table = Tensor::<B, 1>::from_data(TensorData::new(table, [n]), &device);
            let table = table.into_primitive().tensor();
            let table = burn_collective::all_reduce::<B>(id, table, ReduceOperation::Sum)?;
            burn_collective::finish_collective::<B>(id)?;
            Ok(table)
        });
        // Nobody listens after the timeout.
        let _ = sender.send(result);
    });
    match receiver.recv_timeout(timeout) {
        Ok(Ok(table)) => read(Tensor::<B, 1>::from_primitive(TensorPrimitive::Float(
            table,
        ))),
        Ok(Err(error)) => Err(CollectiveError::Operation(format!("{error:?}"))),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(CollectiveError::TimedOut {
            rank: nodes.rank,
            seconds: timeout.as_secs(),
        }),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(CollectiveError::Operation(
            "the nodes could not meet".into(),
        )),
    }
}

/// What the others told of themselves: where their data services listen.
fn addresses(
    table: &[f32],
    nodes: &Nodes,
    devices: usize,
) -> Result<Vec<Address>, CollectiveError> {
    table
        .chunks(SLOT)
        .enumerate()
        .map(|(rank, slot)| {
            let (Some(&here), Some(&theirs), Some(&length)) =
                (slot.first(), slot.get(1), slot.get(2))
            else {
                return Err(CollectiveError::Operation("a short table".into()));
            };
            if here != 1.0 {
                return Err(CollectiveError::Setup(format!(
                    "{here} nodes have rank {rank} (expected 1 of {})",
                    nodes.count
                )));
            }
            if theirs != devices as f32 {
                return Err(CollectiveError::Setup(format!(
                    "node {rank} has {theirs} devices, this one {devices} (expected as many)"
                )));
            }
            let bytes = slot.iter().skip(3).take(length as usize);
            let text: String = bytes.map(|&b| char::from(b as u8)).collect();
            let (host, port) = split(&text)?;
            url(host, port + 1)
        })
        .collect()
}

/// The data service of a node, and where the others are.
pub(super) struct Exchange<B: Backend> {
    rank: usize,
    /// Replicas a node.
    devices: usize,
    addresses: Vec<Address>,
    service: Arc<TensorDataService<B, WebSocket>>,
    cancel: CancellationToken,
    /// Taken when it closes.
    runtime: Option<Runtime>,
    /// Next number of a transfer; the nodes count alike.
    transfer: u64,
    timeout: Duration,
}

impl<B: Backend> Exchange<B> {
    /// Meets the other nodes.
    pub(super) fn open(
        nodes: &Nodes,
        devices: usize,
        device: Option<&<B as BackendTypes>::Device>,
        timeout: Duration,
    ) -> Result<Self, CollectiveError> {
        let (_, port) = nodes.check()?;
        let device = device.ok_or_else(|| CollectiveError::Setup("no devices".into()))?;
        free(port)?;
        free(port + 1)?;
        let runtime = runtime()?;
        let cancel = CancellationToken::new();
        let service = Arc::new(TensorDataService::<B, WebSocket>::new(cancel.clone()));
        // Listens before the others learn where.
        let stop = cancel.clone();
        let server = WsServer::new(port + 1)
            .route_tensor_data_service(service.clone())
            .serve(async move { stop.cancelled().await });
        runtime.spawn(server);
        let notify = service.new_tensor_notify.clone();
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(NUDGE).await;
                notify.notify_waiters();
            }
        });
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port + 1)).is_err() {
            if begun.elapsed() > timeout {
                return Err(CollectiveError::Setup(format!(
                    "port {} stays closed",
                    port + 1
                )));
            }
            std::thread::sleep(NUDGE);
        }
        let mut mine = vec![1.0, devices as f32, nodes.address.len() as f32];
        mine.extend(nodes.address.bytes().map(f32::from));
        let table = meet::<B>(nodes, &mine, device, timeout)?;
        Ok(Self {
            rank: nodes.rank,
            devices,
            addresses: addresses(&table, nodes, devices)?,
            service,
            cancel,
            runtime: Some(runtime),
            transfer: 0,
            timeout,
        })
    }

    /// Sum over the nodes, the same bits for each: terms are added in the order of ranks.
    pub(super) fn sum(&mut self, mut values: Vec<f32>) -> Result<Vec<f32>, CollectiveError> {
        for piece in values.chunks_mut(PIECE) {
            self.sum_piece(piece)?;
        }
        Ok(values)
    }

    fn sum_piece(&mut self, values: &mut [f32]) -> Result<(), CollectiveError> {
        let nodes = self.addresses.len();
        let base = self.transfer;
        self.transfer += 2 * nodes as u64;
        let part = values.len().div_ceil(nodes).max(1);
        let bounds = |i: usize| (i * part).min(values.len())..((i + 1) * part).min(values.len());
        let bounds: Vec<_> = (0..nodes).map(bounds).collect();
        let others: Vec<usize> = (0..nodes).filter(|&i| i != self.rank).collect();
        // A transfer carries the number of its part, first the terms, then the sums.
        for &i in &others {
            let slice = bounds.get(i).and_then(|b| values.get(b.clone()));
            self.expose(slice.unwrap_or_default().to_vec(), 1, base + i as u64)?;
        }
        let own = bounds.get(self.rank).cloned().unwrap_or_default();
        let mut terms = self.fetch(&others, |_| base + self.rank as u64)?;
        terms.insert(
            self.rank.min(terms.len()),
            values.get(own.clone()).unwrap_or_default().to_vec(),
        );
        let mut sum = vec![0.0; own.len()];
        for (rank, term) in terms.iter().enumerate() {
            self.fits(rank, term, sum.len())?;
            sum.iter_mut().zip(term).for_each(|(s, t)| *s += t);
        }
        let second = base + nodes as u64;
        self.expose(sum.clone(), others.len() as u32, second + self.rank as u64)?;
        let sums = self.fetch(&others, |i| second + i as u64)?;
        let sums = others.into_iter().zip(sums).chain([(self.rank, sum)]);
        for (rank, sum) in sums {
            if let Some(slot) = bounds.get(rank).and_then(|b| values.get_mut(b.clone())) {
                self.fits(rank, &sum, slot.len())?;
                slot.copy_from_slice(&sum);
            }
        }
        Ok(())
    }

    fn fits(&self, node: usize, values: &[f32], expected: usize) -> Result<(), CollectiveError> {
        if values.len() == expected {
            return Ok(());
        }
        let n = values.len();
        Err(self.lost(node, &format!("it sent {n} values (expected {expected})")))
    }

    fn lost(&self, node: usize, reason: &str) -> CollectiveError {
        CollectiveError::Lost {
            rank: node * self.devices,
            reason: format!("node {node}: {reason}"),
        }
    }

    fn runtime(&self) -> Result<&Runtime, CollectiveError> {
        let closed = || CollectiveError::Operation("the exchange is closed".into());
        self.runtime.as_ref().ok_or_else(closed)
    }

    fn expose(
        &self,
        values: Vec<f32>,
        downloads: u32,
        transfer: u64,
    ) -> Result<(), CollectiveError> {
        let n = values.len();
        let data = TensorData::new(values, [n]);
        self.runtime()?
            .block_on(self.service.expose_data(data, downloads, transfer.into()));
        Ok(())
    }

    /// One vector from each of some nodes, all at once, in their order.
    fn fetch(
        &self,
        nodes: &[usize],
        transfer: impl Fn(usize) -> u64,
    ) -> Result<Vec<Vec<f32>>, CollectiveError> {
        let runtime = self.runtime()?;
        let downloads: Vec<_> = nodes
            .iter()
            .map(|&node| {
                let address = self.addresses.get(node).cloned();
                let service = self.service.clone();
                let id = transfer(node).into();
                // A task of its own: Burn panics when it cannot connect, which ends no more than the task.
                let task = runtime.spawn(async move {
                    match address {
                        Some(address) => service.download_tensor(address, id).await,
                        None => None,
                    }
                });
                (node, task)
            })
            .collect();
        downloads
            .into_iter()
            .map(|(node, task)| {
                let limited = async { tokio::time::timeout(self.timeout, task).await };
                let data = match runtime.block_on(limited) {
                    Ok(Ok(Some(data))) => data,
                    Ok(Ok(None)) => return Err(self.lost(node, "the connection ended")),
                    Ok(Err(_)) => return Err(self.lost(node, "the connection failed")),
                    Err(_) => {
                        return Err(CollectiveError::TimedOut {
                            rank: self.rank * self.devices,
                            seconds: self.timeout.as_secs(),
                        });
                    }
                };
                data.into_vec()
                    .map_err(|e| self.lost(node, &format!("it sent no floats: {e:?}")))
            })
            .collect()
    }

    /// Waits until the others have fetched what is theirs, for a while, and stops listening.
    pub(super) fn close(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let begun = Instant::now();
        let limit = self.timeout.min(Duration::from_secs(5));
        let waiting = || {
            !runtime
                .block_on(self.service.exposed_tensors.lock())
                .is_empty()
        };
        while waiting() && begun.elapsed() < limit {
            std::thread::sleep(NUDGE);
        }
        // What was taken out of the list may still be on its way.
        std::thread::sleep(Duration::from_millis(200));
        self.cancel.cancel();
        runtime.shutdown_background();
    }
}

impl<B: Backend> Drop for Exchange<B> {
    fn drop(&mut self) {
        // A runtime must not be dropped in the usual way inside another one.
        if let Some(runtime) = self.runtime.take() {
            self.cancel.cancel();
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_ups_that_cannot_work_are_refused() {
        let good = Nodes {
            count: 2,
            rank: 1,
            coordinator: "a:1".into(),
            address: "b.example:29400".into(),
        };
        assert_eq!(good.check(), Ok(("b.example", 29400)));
        for bad in [
            Nodes {
                count: 1,
                rank: 0,
                ..good.clone()
            },
            Nodes {
                rank: 2,
                ..good.clone()
            },
            Nodes {
                address: "b".into(),
                ..good.clone()
            },
            Nodes {
                address: "b:65535".into(),
                ..good.clone()
            },
            Nodes {
                coordinator: "ws://a:1/x".into(),
                ..good.clone()
            },
        ] {
            assert!(
                matches!(bad.check(), Err(CollectiveError::Setup(_))),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn two_nodes_of_one_rank_and_other_devices_are_noticed() {
        let nodes = Nodes {
            count: 2,
            rank: 0,
            coordinator: "a:1".into(),
            address: "b:2".into(),
        };
        let slot = |present: f32, devices: f32| {
            let mut slot = vec![0.0; SLOT];
            slot[..3].copy_from_slice(&[present, devices, 3.0]);
            slot[3..6].copy_from_slice(&[98.0, 58.0, 50.0]);
            slot
        };
        let table = |a: Vec<f32>, b: Vec<f32>| [a, b].concat();
        let good = addresses(&table(slot(1.0, 1.0), slot(1.0, 1.0)), &nodes, 1).expect("good");
        assert_eq!(good[1].to_string(), "ws://b:3");
        assert!(addresses(&table(slot(2.0, 2.0), slot(0.0, 0.0)), &nodes, 1).is_err());
        assert!(addresses(&table(slot(1.0, 1.0), slot(1.0, 2.0)), &nodes, 1).is_err());
    }
}
