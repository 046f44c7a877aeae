//! Milliseconds of layers of published networks on the CPU, for `benches/layers.py`.
//!
//! Reads lines `KIND NUMBER...` (see [`layer`]) and answers each with the shortest of some runs: by the clock, and with
//! the argument `cpu` by the time that all threads together spent (Linux), which other programs disturb less.

use std::io::{BufRead, Write};
use std::time::{Duration, Instant, SystemTime};

use burn::tensor::{Distribution, Tensor};
use burn_flex::Flex;
use codec_core::backend::{Activation, ConvOps, NetworkOps};

/// Seconds that one layer is run for.
const SECONDS: f64 = 0.4;
/// Seconds that are counted at once; the system keeps the time of threads in steps of some milliseconds.
const COUNTED: f64 = 0.04;

fn random<const D: usize>(dims: [usize; D]) -> Tensor<Flex, D> {
    Tensor::random(dims, Distribution::Uniform(0.01, 1.0), &Default::default())
}

/// The layer of a line: `conv in out kernel stride height width`, `transposed` likewise, `gdn channels height width`,
/// `group_norm` likewise, `attention channels positions`, `gelu`, `silu` and `softmax` with `rows columns`, `layer_norm` likewise.
fn layer(kind: &str, sizes: &[usize]) -> Option<Box<dyn Fn()>> {
    Some(match (kind, sizes) {
        ("conv", &[i, o, k, s, h, w]) => {
            let (x, weight, bias) = (random([1, i, h, w]), random([o, i, k, k]), random([o]));
            Box::new(move || {
                let (x, weight, bias) = (x.clone(), weight.clone(), bias.clone());
                if s == 1 {
                    Flex::conv2d_same(x, weight, bias, Activation::None);
                } else {
                    Flex::conv2d_strided(x, weight, bias, s, k / 2, Activation::None);
                }
            })
        }
        ("transposed", &[i, o, k, s, h, w]) => {
            let (x, weight, bias) = (random([1, i, h, w]), random([i, o, k, k]), random([o]));
            Box::new(move || {
                let (x, weight, bias) = (x.clone(), weight.clone(), bias.clone());
                Flex::conv2d_transposed(x, weight, bias, s, Activation::None);
            })
        }
        ("gdn", &[c, h, w]) => {
            let (x, beta, gamma) = (random([1, c, h, w]), random([c]), random([c, c]));
            Box::new(move || drop(Flex::gdn(x.clone(), beta.clone(), gamma.clone(), false)))
        }
        ("group_norm", &[c, h, w]) => {
            let (x, a, b) = (random([1, c, h, w]), random([c]), random([c]));
            Box::new(move || {
                drop(Flex::group_normalize(
                    x.clone(),
                    a.clone(),
                    b.clone(),
                    32,
                    1e-6,
                ))
            })
        }
        ("layer_norm", &[rows, c]) => {
            let (x, a, b) = (random([1, rows, c]), random([c]), random([c]));
            Box::new(move || drop(Flex::layer_normalize(x.clone(), a.clone(), b.clone(), 1e-6)))
        }
        ("attention", &[c, n]) => {
            let x: [_; 3] = std::array::from_fn(|_| random([1, c, n]).swap_dims(1, 2));
            let scale = 1.0 / (c as f64).sqrt();
            Box::new(move || {
                let [q, k, v] = x.clone();
                Flex::attend(q, k, v, scale);
            })
        }
        ("gelu" | "silu" | "softmax", &[rows, columns]) => {
            let x = random([rows, columns]);
            let f = match kind {
                "gelu" => Flex::gelu_exact::<2>,
                "silu" => Flex::silu::<2>,
                _ => Flex::softmax_last::<2>,
            };
            Box::new(move || drop(f(x.clone())))
        }
        _ => return None,
    })
}

/// Time that all threads of this process have run.
fn spent() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

fn main() {
    let by_cpu = std::env::args().nth(1).is_some_and(|word| word == "cpu");
    let now = || match by_cpu {
        true => spent(),
        false => SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
    };
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let mut words = line.split_whitespace();
        let kind = words.next().unwrap_or("");
        let sizes: Vec<usize> = words.filter_map(|word| word.parse().ok()).collect();
        let Some(run) = layer(kind, &sizes) else {
            eprintln!("unknown layer: {line}");
            std::process::exit(2);
        };
        run();
        let (began, mut best) = (Instant::now(), f64::INFINITY);
        run();
        let runs = match by_cpu {
            true => (COUNTED / began.elapsed().as_secs_f64()).ceil() as usize,
            false => 1,
        };
        loop {
            let start = now();
            (0..runs).for_each(|_| run());
            best = best.min(now().saturating_sub(start).as_secs_f64() / runs as f64);
            if began.elapsed().as_secs_f64() > SECONDS {
                break;
            }
        }
        println!("{}", 1e3 * best);
        let _ = std::io::stdout().flush();
    }
}
