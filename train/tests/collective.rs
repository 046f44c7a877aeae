//! Data-parallel training on two CPU devices, and on two nodes of one machine.
//!
//! Burn keeps one collective server a backend and process, so these tests take turns.

use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use burn::backend::flex::FlexDevice;
use burn::backend::{Autodiff, Flex};
use burn::module::{Module as _, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use codec_core::layers::Precision;
use codec_image::models::wpmr::{PassMode, Rounding, Wpmr, WpmrConfig};
use codec_train::Alone;
use codec_train::collective::{
    CollectiveError, Nodes, Peer, Replica, Share, agree, coordinate, mean_gradients, run,
    with_noise,
};

type Train = Autodiff<Flex>;

const DEVICES: [FlexDevice; 2] = [FlexDevice, FlexDevice];
const LONG: Duration = Duration::from_secs(60);

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn vector(values: Vec<f32>) -> Tensor<Flex, 1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), &FlexDevice)
}

fn values(tensor: Tensor<Flex, 1>) -> Vec<f32> {
    tensor.into_data().into_vec().expect("floats")
}

/// Gradients in the order of parameters.
fn read(model: &Wpmr<Train>, gradients: &GradientsParams) -> Vec<Option<Vec<f32>>> {
    struct Read<'a>(&'a GradientsParams, Vec<Option<Vec<f32>>>);
    impl ModuleVisitor<Train> for Read<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Train, D>>) {
            let gradient = self.0.get::<Flex, D>(param.id);
            self.1
                .push(gradient.map(|g| g.into_data().into_vec().expect("floats")));
        }
    }
    let mut read = Read(gradients, Vec::new());
    model.visit(&mut read);
    read.1
}

/// Values of the gradients, where parameters have one, and the loss.
type Step = (Vec<Option<Vec<f32>>>, f64);

/// Gradients and loss of a replica's share of a batch of two pictures.
fn step(
    replica: &mut dyn Replica<Flex>,
    config: &WpmrConfig,
    model: &Wpmr<Train>,
    mode: PassMode,
) -> Result<Step, CollectiveError> {
    const SIDE: usize = 64;
    let part = replica.share().range(2)?;
    let of_sample = 3 * SIDE * SIDE;
    let pixels: Vec<f32> = (part.start * of_sample..part.end * of_sample)
        .map(|i| ((i * i % 251) as f32 / 251.0 + (i as f32 * 0.01).sin()).rem_euclid(1.0))
        .collect();
    let t = &[0.3, 0.8][part.clone()];
    let pixels = TensorData::new(pixels, [part.len(), 3, SIDE, SIDE]);
    let pixels = Tensor::<Train, 4>::from_data(pixels, &FlexDevice);
    let losses =
        with_noise(&[9], part.start, || model.forward(config, pixels, t, mode)).expect("forward");
    let loss = (losses.latent_bits + losses.hyper_bits)
        .div_scalar((SIDE * SIDE) as f32)
        .add(losses.mse.mul_scalar(0.02))
        .mean();
    let mut figures = [f64::from(loss.clone().into_scalar())];
    let mut gradients = GradientsParams::from_grads(loss.backward(), model);
    mean_gradients(replica, model, &mut gradients, &mut figures)?;
    Ok((read(model, &gradients), figures[0]))
}

/// Two devices against one with the joined batch. The sums of the weight gradients run over the batch in another order,
/// and matrix products over one picture are cut into other blocks than over two; tolerance: 1e-4 of a tensor's
/// largest gradient.
fn same_gradients(mode: PassMode) {
    let _turn = turn();
    let config = WpmrConfig::new();
    Flex::seed(&FlexDevice, 5);
    let model = config.init::<Train>(&FlexDevice);
    let (joined, loss) = step(&mut Alone, &config, &model, mode).expect("alone");
    let replicas = Mutex::new(Vec::new());
    run::<Flex, _, CollectiveError>(&DEVICES, None, LONG, |mut peer, _| {
        let result = step(&mut peer, &config, &model, mode)?;
        replicas.lock().expect("lock").push(result);
        Ok(())
    })
    .expect("two devices");
    let replicas = replicas.into_inner().expect("lock");
    assert_eq!(replicas.len(), 2);
    assert_eq!(replicas[0], replicas[1], "replicas get the same bits");
    let (split, mean) = &replicas[0];
    assert!((mean - loss).abs() < 1e-4 * loss.abs(), "{mean} {loss}");
    assert_eq!(split.len(), joined.len());
    let mut with_gradient = 0;
    for (i, (a, b)) in joined.iter().zip(split).enumerate() {
        assert_eq!(a.is_some(), b.is_some(), "tensor {i}");
        let (Some(a), Some(b)) = (a, b) else { continue };
        with_gradient += 1;
        let largest = a.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        for (a, b) in a.iter().zip(b) {
            assert!(
                (a - b).abs() <= 1e-4 * largest,
                "tensor {i}: {a} {b}, largest {largest}"
            );
        }
    }
    assert!(with_gradient > 10);
}

#[test]
fn two_devices_give_the_gradients_of_the_joined_batch() {
    same_gradients(PassMode {
        rounding: Rounding::StraightThrough,
        precision: Precision::Float,
    });
}

#[test]
fn so_do_they_with_integers_and_the_encoders_symbols() {
    same_gradients(PassMode {
        rounding: Rounding::Optimized,
        precision: Precision::Integer,
    });
}

#[test]
fn sums_repeat_and_agreement_is_checked() {
    let _turn = turn();
    run::<Flex, _, CollectiveError>(&DEVICES, None, LONG, |mut peer, device| {
        for round in 0..50 {
            let mine = vec![peer.share().rank as f32, 1.0, round as f32];
            assert_eq!(
                values(peer.sum(vector(mine))?),
                [1.0, 2.0, 2.0 * round as f32]
            );
        }
        agree(&mut peer, u64::MAX - 3, "step", device)?;
        let own = 7 + peer.share().rank as u64;
        assert_eq!(
            agree(&mut peer, own, "parameters", device),
            Err(CollectiveError::Drifted {
                rank: 1,
                what: "parameters"
            })
        );
        Ok(())
    })
    .expect("agreement");
}

#[test]
fn a_failing_peer_ends_all() {
    let _turn = turn();
    for panics in [false, true] {
        let begun = Instant::now();
        let told = Mutex::new(None);
        let result = run::<Flex, (), CollectiveError>(&DEVICES, None, LONG, |mut peer, _| {
            peer.sum(vector(vec![1.0]))?;
            if peer.share().rank == 1 {
                assert!(!panics, "broken device");
                return Err(CollectiveError::Setup("broken device".into()));
            }
            let error = peer.sum(vector(vec![1.0])).expect_err("the peer is gone");
            *told.lock().expect("lock") = Some(error.clone());
            Err(error)
        });
        let told = told
            .into_inner()
            .expect("lock")
            .expect("the other was told");
        assert!(
            matches!(&told, CollectiveError::Lost { rank: 1, reason } if reason.contains("broken")),
            "{told}"
        );
        let error = result.expect_err("the run fails").to_string();
        assert!(error.contains("broken device"), "{error}");
        assert!(begun.elapsed() < LONG, "told, not timed out");
    }
}

#[test]
fn waiting_in_vain_ends() {
    let _turn = turn();
    let limit = Duration::from_secs(1);
    let result = run::<Flex, (), CollectiveError>(&DEVICES, None, limit, |mut peer, _| {
        if peer.share().rank == 1 {
            std::thread::sleep(4 * limit);
        }
        peer.sum(vector(vec![1.0])).map(drop)
    });
    assert_eq!(
        result,
        Err(CollectiveError::TimedOut {
            rank: 0,
            seconds: 1
        })
    );
}

#[test]
fn one_run_a_process() {
    let _turn = turn();
    let result = run::<Flex, _, CollectiveError>(&DEVICES, None, LONG, |_, _| {
        run::<Flex, (), CollectiveError>(&DEVICES, None, LONG, |_, _| Ok(()))
    });
    assert_eq!(result, Err(CollectiveError::Busy));
    assert_eq!(
        run::<Flex, _, CollectiveError>(&DEVICES, None, LONG, |peer: Peer<Flex>, _| Ok(
            peer.share()
        )),
        Ok(Share { rank: 0, of: 2 })
    );
}

/// A port that is free, and the one after it.
fn two_ports() -> u16 {
    use std::net::TcpListener;
    for _ in 0..100 {
        let first = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = first.local_addr().expect("address").port();
        if port < u16::MAX - 1 && TcpListener::bind(("0.0.0.0", port + 1)).is_ok() {
            return port;
        }
    }
    panic!("no two free ports in a row");
}

const ROUNDS: usize = 30;
const NODE: &str = "CODEC_TEST_NODE";

/// A node of the tests below, in a process of its own: rank, coordinator, address and the round after which it dies.
#[test]
#[ignore = "started by the tests of two nodes"]
fn node() {
    let text = std::env::var(NODE).expect("started by another test");
    let mut words = text.split(' ');
    let mut word = || words.next().expect("four words").to_owned();
    let rank: usize = word().parse().expect("rank");
    let nodes = Nodes {
        count: 2,
        rank,
        coordinator: word(),
        address: word(),
    };
    let dies: usize = word().parse().expect("round");
    run::<Flex, _, CollectiveError>(&DEVICES, Some(&nodes), LONG, |mut peer, device| {
        let Share { rank, of } = peer.share();
        assert_eq!(of, 4);
        for round in 0..ROUNDS {
            if round == dies && rank >= 2 {
                std::process::abort();
            }
            // Lengths that do not divide evenly, and a vector shorter than the number of nodes.
            let n = 1 + 997 * round;
            let mine = (0..n).map(|i| (i + rank) as f32).collect();
            let expected: Vec<f32> = (0..n).map(|i| (4 * i + 6) as f32).collect();
            assert_eq!(values(peer.sum(vector(mine))?), expected, "round {round}");
        }
        agree(&mut peer, 11, "step", device)
    })
    .expect("node");
}

/// Runs two nodes of two devices; whether each succeeded, and what they said.
fn two_nodes(dies: usize) -> Vec<(bool, String)> {
    let coordinator = two_ports();
    std::thread::spawn(move || coordinate(coordinator).expect("coordinator"));
    let children: Vec<_> = (0..2)
        .map(|rank| {
            let address = two_ports();
            let words = format!("{rank} 127.0.0.1:{coordinator} 127.0.0.1:{address} {dies}");
            Command::new(std::env::current_exe().expect("this program"))
                .args(["--exact", "node", "--ignored", "--nocapture"])
                .env(NODE, words)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("a process")
        })
        .collect();
    children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().expect("ends");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.success(), said)
        })
        .collect()
}

#[test]
fn two_nodes_sum_alike() {
    let _turn = turn();
    for (rank, (success, said)) in two_nodes(usize::MAX).into_iter().enumerate() {
        assert!(success, "node {rank}: {said}");
    }
}

#[test]
fn a_killed_node_ends_the_other() {
    let _turn = turn();
    let begun = Instant::now();
    let ended = two_nodes(ROUNDS / 2);
    assert!(!ended[0].0 && !ended[1].0);
    assert!(ended[0].1.contains("Lost { rank: 2"), "{}", ended[0].1);
    assert!(begun.elapsed() < LONG, "told, not timed out");
}
