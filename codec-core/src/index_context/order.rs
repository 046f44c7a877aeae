//! An order of the codes of a codebook in which neighbours have similar rows.

/// Steps towards the direction of largest spread.
const STEPS: usize = 24;

/// Rank of each code: `rows` `[codes, width]` are halved at the median of their direction of largest spread, and the halves
/// in turn. Where the number of codes is a power of 2, every digit of a rank then names a part of the codebook.
pub fn similar(rows: &[f32], width: usize) -> Vec<u32> {
    let count = rows.len().checked_div(width).unwrap_or(0);
    let mut codes: Vec<u32> = (0..count as u32).collect();
    halve(rows, width, &mut codes);
    let mut ranks = vec![0; count];
    for (rank, &code) in codes.iter().enumerate() {
        if let Some(slot) = ranks.get_mut(code as usize) {
            *slot = rank as u32;
        }
    }
    ranks
}

fn halve(rows: &[f32], width: usize, codes: &mut [u32]) {
    if codes.len() < 2 {
        return;
    }
    let row = |code: u32| {
        rows.chunks(width.max(1))
            .nth(code as usize)
            .unwrap_or_default()
    };
    let axis = spread(
        &codes.iter().map(|&code| row(code)).collect::<Vec<_>>(),
        width,
    );
    let mut placed: Vec<(f64, u32)> = codes
        .iter()
        .map(|&code| (dot(row(code), &axis), code))
        .collect();
    placed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    for (slot, (_, code)) in codes.iter_mut().zip(placed) {
        *slot = code;
    }
    // The first half has a power of 2 of them, so that halves end where digits do.
    let middle = codes.len().next_power_of_two() / 2;
    let (first, second) = codes.split_at_mut(middle);
    halve(rows, width, first);
    halve(rows, width, second);
}

fn dot(row: &[f32], axis: &[f64]) -> f64 {
    row.iter().zip(axis).map(|(v, a)| f64::from(*v) * a).sum()
}

/// The direction of largest spread, by power iteration.
fn spread(rows: &[&[f32]], width: usize) -> Vec<f64> {
    let n = rows.len().max(1) as f64;
    let mut mean = vec![0.0; width];
    for row in rows {
        mean.iter_mut()
            .zip(*row)
            .for_each(|(m, v)| *m += f64::from(*v) / n);
    }
    let centred: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .zip(&mean)
                .map(|(v, m)| f64::from(*v) - m)
                .collect()
        })
        .collect();
    // The row farthest from the mean is not at a right angle to what is looked for.
    let length = |v: &Vec<f64>| v.iter().map(|x| x * x).sum::<f64>();
    let mut axis = centred
        .iter()
        .max_by(|a, b| length(a).total_cmp(&length(b)))
        .cloned()
        .unwrap_or_default();
    for _ in 0..STEPS {
        let mut next = vec![0.0; width];
        for row in &centred {
            let along: f64 = row.iter().zip(&axis).map(|(v, a)| v * a).sum();
            next.iter_mut().zip(row).for_each(|(n, v)| *n += along * v);
        }
        let norm = length(&next).sqrt();
        if norm == 0.0 {
            break;
        }
        axis = next.into_iter().map(|v| v / norm).collect();
    }
    axis
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_rows_have_near_ranks() {
        // Points on a line, shuffled.
        let count = 64u32;
        let rows: Vec<f32> = (0..count)
            .flat_map(|i| {
                let along = (i * 37 % count) as f32;
                [along, 0.5 * along, -along]
            })
            .collect();
        let ranks = similar(&rows, 3);
        let line: Vec<u32> = (0..count).map(|i| i * 37 % count).collect();
        let backwards: Vec<u32> = line.iter().map(|p| count - 1 - p).collect();
        assert!(ranks == line || ranks == backwards, "{ranks:?}");
    }

    #[test]
    fn every_code_has_a_rank() {
        for count in [1usize, 2, 3, 17, 100] {
            let rows: Vec<f32> = (0..2 * count).map(|i| (i * i % 13) as f32).collect();
            let mut ranks = similar(&rows, 2);
            ranks.sort_unstable();
            assert!(ranks.iter().copied().eq(0..count as u32));
        }
        assert!(similar(&[], 2).is_empty());
    }
}
