//! Recordings in overlapping segments: where they begin, and how they are put together again.

/// Where the segments of a recording begin, and how many samples they have.
pub(super) fn segments(
    samples: usize,
    length: usize,
    stride: usize,
) -> impl Iterator<Item = (usize, usize)> {
    (0..samples)
        .step_by(stride.max(1))
        .map(move |start| (start, length.min(samples - start)))
}

/// Puts segments, `stride` samples apart, together with triangular weights; all channels have the same length within a segment.
/// `length` is that of a whole segment.
pub(super) fn overlap_add(parts: &[Vec<Vec<f32>>], length: usize, stride: usize) -> Vec<Vec<f32>> {
    let own = |part: &Vec<Vec<f32>>| part.first().map_or(0, Vec::len);
    let ends = parts
        .iter()
        .enumerate()
        .map(|(i, part)| i * stride + own(part));
    let total = ends.max().unwrap_or(0);
    let channels = parts.first().map_or(0, Vec::len);
    // Inner points of a line from 0 to 1, folded at one half.
    let weights: Vec<f32> = (1..=length)
        .map(|i| (0.5 - (i as f64 / (length + 1) as f64 - 0.5).abs()) as f32)
        .collect();
    let mut sums = vec![vec![0.0f32; total]; channels];
    let mut mass = vec![0.0f32; total];
    for (number, part) in parts.iter().enumerate() {
        let start = number * stride;
        let add = |to: &mut [f32], of: &dyn Fn(usize) -> f32, count: usize| {
            let to = to.iter_mut().skip(start).take(count).enumerate();
            to.zip(&weights).for_each(|((i, v), w)| *v += w * of(i));
        };
        for (sum, channel) in sums.iter_mut().zip(part) {
            let value = |i: usize| channel.get(i).copied().unwrap_or_default();
            add(sum, &value, channel.len());
        }
        add(&mut mass, &|_| 1.0, own(part));
    }
    for channel in &mut sums {
        for (v, &mass) in channel.iter_mut().zip(&mass) {
            *v /= mass.max(f32::MIN_POSITIVE);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cover_a_recording() {
        let found: Vec<_> = segments(100, 48, 40).collect();
        assert_eq!(found, [(0, 48), (40, 48), (80, 20)]);
        assert_eq!(segments(40, 48, 40).collect::<Vec<_>>(), [(0, 40)]);
        assert_eq!(segments(0, 48, 40).count(), 0);
    }

    #[test]
    fn what_was_cut_comes_together() {
        let recording: Vec<f32> = (0..100).map(|i| (i as f32 * 0.3).sin()).collect();
        let parts: Vec<Vec<Vec<f32>>> = segments(100, 48, 40)
            .map(|(start, length)| vec![recording[start..start + length].to_vec()])
            .collect();
        let whole = overlap_add(&parts, 48, 40);
        assert_eq!(whole.len(), 1);
        assert_eq!(whole[0].len(), 100);
        for (got, want) in whole[0].iter().zip(&recording) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
    }

    #[test]
    fn weights_rise_to_the_middle_of_a_segment() {
        let parts = [vec![vec![1.0; 4]], vec![vec![0.0; 4]]];
        // Weights 1, 2, 2, 1 fifths; the segments meet in the last sample of the first.
        let whole = overlap_add(&parts, 4, 2);
        let want = [1.0, 1.0, 2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0];
        for (got, want) in whole[0].iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
    }
}
