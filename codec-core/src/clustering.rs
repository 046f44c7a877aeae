//! Smaller codebooks from a large one: k-means with weights.
//!
//! Centers start by k-means++ (Arthur and Vassilvitskii 2007) and move by Lloyd's steps. The result depends on the points and
//! the seed alone, not on the number of threads.

use rayon::prelude::*;

use crate::Error;
use crate::kernels::nearest::nearest;

/// Passes over all points that choosing the first centers takes at most. With more clusters, each pass draws several.
const START_PASSES: usize = 512;
/// Points whose distances one thread sums up at a time.
const CHUNK: usize = 1024;

/// Choices of [`k_means`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KMeans {
    /// Seed of the first centers.
    pub seed: u64,
    /// Most steps; it ends earlier when no point changes its cluster.
    pub steps: usize,
}

impl Default for KMeans {
    fn default() -> Self {
        Self { seed: 0, steps: 50 }
    }
}

/// Points in clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct Clustering {
    /// Mean of each cluster, `[clusters, width]`.
    pub centers: Vec<f32>,
    /// Cluster of each point: the nearest center, the first of equally near ones.
    pub assignment: Vec<u32>,
    /// Sum of the weights in each cluster.
    pub mass: Vec<f64>,
    /// Weighted mean of the squared distance from point to center.
    pub distortion: f64,
}

/// Clusters `points` `[n, width]`, which count by `weights` `[n]` if there are any. A weight of 0 is that of a point that is
/// assigned but moves nothing. With fewer distinct points than clusters, centers repeat and the later ones stay empty.
///
/// # Errors
/// [`Error::BadParameter`] for no points, fewer points than clusters, slices of other lengths, or numbers that are not
/// finite.
pub fn k_means(
    points: &[f32],
    width: usize,
    weights: Option<&[f64]>,
    clusters: usize,
    options: KMeans,
) -> Result<Clustering, Error> {
    let n = check(points, width, weights, clusters)?;
    let even;
    let weights = match weights {
        Some(weights) if weights.iter().sum::<f64>() > 0.0 => weights,
        _ => {
            even = vec![1.0; n];
            &even
        }
    };
    let mut centers = start(points, width, weights, clusters, options.seed);
    let (mut assignment, mut distances) = assign(points, width, &centers);
    for _ in 0..options.steps {
        fill_empty(&mut assignment, &distances, weights, clusters);
        let members = Members::new(&assignment, clusters);
        members.means(points, width, weights, &mut centers);
        let (next, next_distances) = assign(points, width, &centers);
        distances = next_distances;
        let settled = next == assignment;
        assignment = next;
        if settled {
            break;
        }
    }
    let mut mass = vec![0.0; clusters];
    let mut sum = 0.0;
    for ((&cluster, &weight), &distance) in assignment.iter().zip(weights).zip(&distances) {
        if let Some(mass) = mass.get_mut(cluster as usize) {
            *mass += weight;
        }
        sum += weight * distance;
    }
    Ok(Clustering {
        centers,
        assignment,
        distortion: sum / mass.iter().sum::<f64>(),
        mass,
    })
}

/// Clusterings of falling size, each a coarsening of the one before: points that share a cluster share all later ones.
///
/// `sizes` are sorted and made distinct; the result begins with the largest. Assignments and distortions are those of the
/// points.
///
/// # Errors
/// As [`k_means`].
pub fn nested(
    points: &[f32],
    width: usize,
    weights: Option<&[f64]>,
    sizes: &[usize],
    options: KMeans,
) -> Result<Vec<Clustering>, Error> {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    let mut levels: Vec<Clustering> = Vec::with_capacity(sizes.len());
    for size in sizes {
        let level = match levels.last() {
            None => k_means(points, width, weights, size, options)?,
            Some(finer) => {
                let coarser = k_means(&finer.centers, width, Some(&finer.mass), size, options)?;
                through(finer, coarser, points, width, weights)
            }
        };
        levels.push(level);
    }
    Ok(levels)
}

/// A clustering of clusters as one of their points.
fn through(
    finer: &Clustering,
    coarser: Clustering,
    points: &[f32],
    width: usize,
    weights: Option<&[f64]>,
) -> Clustering {
    let cluster_of = |&cluster: &u32| {
        coarser
            .assignment
            .get(cluster as usize)
            .copied()
            .unwrap_or(0)
    };
    let assignment: Vec<u32> = finer.assignment.iter().map(cluster_of).collect();
    let (mut sum, mut total) = (0.0, 0.0);
    for (index, (point, &cluster)) in points.chunks(width).zip(&assignment).enumerate() {
        let weight = weights.map_or(1.0, |w| w.get(index).copied().unwrap_or(0.0));
        sum += weight * squared(point, row(&coarser.centers, width, cluster as usize));
        total += weight;
    }
    Clustering {
        assignment,
        distortion: if total > 0.0 { sum / total } else { 0.0 },
        ..coarser
    }
}

fn check(
    points: &[f32],
    width: usize,
    weights: Option<&[f64]>,
    clusters: usize,
) -> Result<usize, Error> {
    let n = points.len().checked_div(width).unwrap_or(0);
    if n == 0 || n * width != points.len() {
        return Err(Error::bad_parameter(format!(
            "{} values are no points of {width} dimensions",
            points.len()
        )));
    }
    if !(1..=n).contains(&clusters) {
        return Err(Error::bad_parameter(format!(
            "{clusters} clusters of {n} points (expected 1..={n})"
        )));
    }
    if points.iter().any(|v| !v.is_finite()) {
        return Err(Error::bad_parameter("points that are not finite"));
    }
    if let Some(weights) = weights {
        if weights.len() != n {
            return Err(Error::bad_parameter(format!(
                "{} weights of {n} points",
                weights.len()
            )));
        }
        if weights.iter().any(|&w| !w.is_finite() || w < 0.0) {
            return Err(Error::bad_parameter("weights below 0 or not finite"));
        }
    }
    Ok(n)
}

fn row(rows: &[f32], width: usize, index: usize) -> &[f32] {
    rows.get(index * width..(index + 1) * width)
        .unwrap_or_default()
}

fn squared(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| {
        let d = f64::from(*a) - f64::from(*b);
        d * d
    });
    squares.sum()
}

/// Nearest center of each point and the squared distance to it, the latter without the cancellation of the search.
fn assign(points: &[f32], width: usize, centers: &[f32]) -> (Vec<u32>, Vec<f64>) {
    let found = nearest(points, centers, width).row;
    let mut distances = vec![0.0; found.len()];
    let chunks = points
        .par_chunks(CHUNK * width)
        .zip(found.par_chunks(CHUNK));
    distances
        .par_chunks_mut(CHUNK)
        .zip(chunks)
        .for_each(|(distances, (points, found))| {
            for ((distance, point), &center) in
                distances.iter_mut().zip(points.chunks(width)).zip(found)
            {
                *distance = squared(point, row(centers, width, center as usize));
            }
        });
    (found, distances)
}

/// First centers: points drawn with probabilities in proportion to weight times squared distance to the centers so far.
fn start(points: &[f32], width: usize, weights: &[f64], clusters: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let n = weights.len();
    let mut taken = vec![false; n];
    let mut centers = Vec::with_capacity(clusters * width);
    let mut distances = vec![1.0f64; n];
    let batch = clusters.div_ceil(START_PASSES);
    let mut chosen = 0;
    while chosen < clusters {
        // The first center alone: all the others depend on a distance.
        let wanted = if chosen == 0 {
            1
        } else {
            batch.min(clusters - chosen)
        };
        let mut total = 0.0;
        let sums: Vec<f64> = weights
            .iter()
            .zip(&distances)
            .map(|(weight, distance)| {
                total += weight * distance;
                total
            })
            .collect();
        let mut fresh = Vec::with_capacity(wanted * width);
        for _ in 0..wanted {
            let drawn = (total > 0.0)
                .then(|| {
                    let at = random.unit() * total;
                    sums.partition_point(|&sum| sum <= at)
                })
                .filter(|&index| taken.get(index) == Some(&false))
                .or_else(|| taken.iter().position(|&taken| !taken));
            let Some(index) = drawn else { break };
            if let Some(taken) = taken.get_mut(index) {
                *taken = true;
            }
            fresh.extend_from_slice(row(points, width, index));
        }
        let (_, nearer) = assign(points, width, &fresh);
        for (distance, nearer) in distances.iter_mut().zip(nearer) {
            *distance = if chosen == 0 {
                nearer
            } else {
                distance.min(nearer)
            };
        }
        chosen += fresh.len() / width;
        centers.append(&mut fresh);
    }
    centers
}

/// Gives every empty cluster the point that costs most where it is.
fn fill_empty(assignment: &mut [u32], distances: &[f64], weights: &[f64], clusters: usize) {
    let mut counts = vec![0usize; clusters];
    for &cluster in assignment.iter() {
        if let Some(count) = counts.get_mut(cluster as usize) {
            *count += 1;
        }
    }
    let empty: Vec<usize> = (0..clusters)
        .filter(|&c| counts.get(c) == Some(&0))
        .collect();
    if empty.is_empty() {
        return;
    }
    let cost = |index: usize| {
        let weight = weights.get(index).copied().unwrap_or(0.0);
        weight * distances.get(index).copied().unwrap_or(0.0)
    };
    let mut costly: Vec<usize> = (0..assignment.len()).filter(|&i| cost(i) > 0.0).collect();
    costly.sort_by(|&a, &b| cost(b).total_cmp(&cost(a)).then(a.cmp(&b)));
    let mut costly = costly.into_iter();
    for cluster in empty {
        let moved = costly.find(|&index| {
            let from = assignment.get(index).map_or(0, |&c| c as usize);
            counts.get(from).is_some_and(|&count| count > 1)
        });
        let Some(slot) = moved.and_then(|index| assignment.get_mut(index)) else {
            break;
        };
        if let Some(count) = counts.get_mut(*slot as usize) {
            *count -= 1;
        }
        *slot = cluster as u32;
    }
}

/// Points in the order of their clusters.
struct Members {
    order: Vec<u32>,
    /// Where each cluster begins in `order`, and the end.
    bounds: Vec<usize>,
}

impl Members {
    fn new(assignment: &[u32], clusters: usize) -> Self {
        let mut bounds = vec![0usize; clusters + 1];
        for &cluster in assignment {
            if let Some(count) = bounds.get_mut(cluster as usize + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for bound in &mut bounds {
            sum += *bound;
            *bound = sum;
        }
        let mut next = bounds.clone();
        let mut order = vec![0u32; assignment.len()];
        for (index, &cluster) in assignment.iter().enumerate() {
            if let Some(place) = next.get_mut(cluster as usize) {
                if let Some(slot) = order.get_mut(*place) {
                    *slot = index as u32;
                }
                *place += 1;
            }
        }
        Self { order, bounds }
    }

    /// Moves the centers to the means of their points. A cluster without weight stays.
    fn means(&self, points: &[f32], width: usize, weights: &[f64], centers: &mut [f32]) {
        centers
            .par_chunks_mut(width)
            .zip(self.bounds.par_windows(2))
            .for_each(|(center, bounds)| {
                let range = bounds.first().zip(bounds.last());
                let members = range.and_then(|(&from, &to)| self.order.get(from..to));
                let mut sums = vec![0f64; width];
                let mut mass = 0.0;
                for &index in members.unwrap_or_default() {
                    let weight = weights.get(index as usize).copied().unwrap_or(0.0);
                    mass += weight;
                    for (sum, &v) in sums.iter_mut().zip(row(points, width, index as usize)) {
                        *sum += weight * f64::from(v);
                    }
                }
                if mass > 0.0 {
                    for (value, sum) in center.iter_mut().zip(sums) {
                        *value = (sum / mass) as f32;
                    }
                }
            });
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    /// A number in 0..1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `each` points around each of `blobs` corners.
    fn blobs(blobs: usize, each: usize) -> Vec<f32> {
        let mut random = Random(9);
        let mut points = Vec::new();
        for index in 0..blobs * each {
            let blob = index % blobs;
            for axis in 0..3 {
                let corner = if blob >> axis & 1 == 1 { 10.0 } else { 0.0 };
                points.push(corner + random.unit() as f32);
            }
        }
        points
    }

    #[test]
    fn separate_blobs_are_found() {
        let points = blobs(8, 30);
        let found = k_means(&points, 3, None, 8, KMeans::default()).unwrap();
        assert_eq!(found.mass, [30.0; 8]);
        assert!(found.distortion < 0.3, "{}", found.distortion);
        for (index, &cluster) in found.assignment.iter().enumerate() {
            assert_eq!(cluster, found.assignment[index % 8]);
        }
    }

    #[test]
    fn the_seed_decides_and_threads_do_not() {
        let points = blobs(8, 40);
        let run = |seed, threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let options = KMeans { seed, steps: 3 };
            pool.unwrap()
                .install(|| k_means(&points, 3, None, 50, options).unwrap())
        };
        assert_eq!(run(1, 1), run(1, 2));
        assert_ne!(run(1, 1).centers, run(2, 1).centers);
    }

    #[test]
    fn weights_pull_centers() {
        let points = [0.0, 1.0, 10.0];
        let found = k_means(&points, 1, Some(&[3.0, 1.0, 1.0]), 2, KMeans::default()).unwrap();
        let mut centers = found.centers.clone();
        centers.sort_by(f32::total_cmp);
        assert_eq!(centers, [0.25, 10.0]);
        assert!((found.distortion - (3.0 * 0.0625 + 0.5625) / 5.0).abs() < 1e-9);
    }

    #[test]
    fn no_cluster_stays_empty_while_points_differ() {
        // All first centers but one among the equal points would leave clusters empty.
        let mut points = vec![0.0; 60];
        points.extend([1.0, 2.0, 3.0, 4.0]);
        for seed in 0..20 {
            let options = KMeans { seed, steps: 20 };
            let found = k_means(&points, 1, None, 5, options).unwrap();
            assert!(found.mass.iter().all(|&mass| mass > 0.0), "seed {seed}");
            assert_eq!(found.distortion, 0.0, "seed {seed}");
        }
        let same = k_means(&[1.0; 6], 2, None, 3, KMeans::default()).unwrap();
        assert_eq!(same.distortion, 0.0);
    }

    #[test]
    fn nested_levels_coarsen() {
        let points = blobs(8, 64);
        let levels = nested(&points, 3, None, &[4, 64, 16, 512, 16], KMeans::default()).unwrap();
        let sizes: Vec<usize> = levels.iter().map(|level| level.mass.len()).collect();
        assert_eq!(sizes, [512, 64, 16, 4]);
        for pair in levels.windows(2) {
            assert!(pair[0].distortion <= pair[1].distortion);
            let mut map = vec![None; pair[0].mass.len()];
            for (&fine, &coarse) in pair[0].assignment.iter().zip(&pair[1].assignment) {
                assert_eq!(*map[fine as usize].get_or_insert(coarse), coarse);
            }
        }
    }

    #[test]
    fn bad_input_is_refused() {
        let run = |points: &[f32], width, weights, clusters| {
            k_means(points, width, weights, clusters, KMeans::default())
                .unwrap_err()
                .to_string()
        };
        assert!(run(&[], 1, None, 1).contains("no points"));
        assert!(run(&[1.0; 3], 2, None, 1).contains("no points"));
        assert!(run(&[1.0], 0, None, 1).contains("no points"));
        assert!(run(&[1.0; 2], 1, None, 3).contains("1..=2"));
        assert!(run(&[f32::NAN], 1, None, 1).contains("finite"));
        assert!(run(&[1.0], 1, Some(&[-1.0]), 1).contains("below 0"));
        assert!(run(&[1.0], 1, Some(&[1.0, 1.0]), 1).contains("2 weights"));
    }
}
