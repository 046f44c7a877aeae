use super::*;

fn noise(state: &mut u32) -> i32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*state >> 24) as i32 - 128
}

/// Smooth planes that share their structure, with noise.
fn smooth([planes, height, width]: [usize; 3], limit: i32, seed: u32) -> Vec<i32> {
    let mut state = seed;
    let mut values = Vec::new();
    for plane in 0..planes {
        for y in 0..height {
            for x in 0..width {
                let wave = ((x as f64 / 9.0).sin() + (y as f64 / 7.0).cos()) * 20.0;
                let own = (plane as f64 - 1.5) * wave / 2.0 + f64::from(noise(&mut state)) / 40.0;
                values.push((own as i32).clamp(-limit, limit));
            }
        }
    }
    values
}

#[test]
fn planes_come_back() {
    for shape in [
        [1, 1, 1],
        [3, 1, 40],
        [2, 17, 1],
        [4, 12, 9],
        [14, 5, 6],
        [0, 3, 3],
        [2, 0, 5],
    ] {
        for limit in [1, 7, 127, 32767] {
            let values = smooth(shape, limit, 7);
            let bytes = encode_planes(&values, shape, limit).unwrap();
            assert_eq!(
                decode_planes(&bytes, shape, limit).unwrap(),
                values,
                "{shape:?} {limit}"
            );
        }
    }
}

#[test]
fn extreme_values_come_back() {
    let mut state = 3;
    for limit in [1, 100, 32767] {
        let values: Vec<i32> = (0..3 * 20 * 20)
            .map(|i| match i % 5 {
                0 => limit,
                1 => -limit,
                _ => noise(&mut state).clamp(-limit, limit),
            })
            .collect();
        let bytes = encode_planes(&values, [3, 20, 20], limit).unwrap();
        assert_eq!(decode_planes(&bytes, [3, 20, 20], limit).unwrap(), values);
    }
}

#[test]
fn structure_is_cheap() {
    let shape = [4, 48, 64];
    let values = smooth(shape, 127, 1);
    let bytes = encode_planes(&values, shape, 127).unwrap();
    // Noise of 6.4 units, cut to integers at a place that is not known: 2.7 bits and something.
    let bits = 8.0 * bytes.len() as f64 / values.len() as f64;
    println!("{bits:.3} bits a value");
    assert!(bits < 3.1, "{bits}");
    let flat = vec![5; 4 * 48 * 64];
    let bytes = encode_planes(&flat, shape, 127).unwrap();
    assert!(bytes.len() < 120, "{}", bytes.len());
}

#[test]
fn parameters_are_checked() {
    let many = [1 << 20, 1 << 20, 1 << 30];
    for error in [
        encode_planes(&[1], [1, 1, 2], 4),
        encode_planes(&[5], [1, 1, 1], 4),
        encode_planes(&[0], [1, 1, 1], 0),
        encode_planes(&[0], [1, 1, 1], 32768),
        encode_planes(&[], many, 4),
    ] {
        assert!(error.is_err());
    }
    assert!(decode_planes(&[1, 0, 0, 0, 0, 1], many, 4).is_err());
    assert!(decode_planes(&[], [1, 1, 1], 4).unwrap_err().is_truncated());
}

/// Damaged streams give an error or other values of the right number, and never panic.
#[test]
fn damage_is_survived() {
    let shape = [3, 9, 11];
    let values = smooth(shape, 127, 5);
    let bytes = encode_planes(&values, shape, 127).unwrap();
    for end in 0..bytes.len() {
        assert!(decode_planes(&bytes[..end], shape, 127).is_err(), "{end}");
    }
    for position in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[position] ^= flip;
            if let Ok(decoded) = decode_planes(&damaged, shape, 127) {
                assert_eq!(decoded.len(), values.len());
                assert!(decoded.iter().all(|v| v.abs() <= 127));
            }
        }
    }
}
