//! Files of equal size.

use crate::codec::{Cause, Codec};

/// Encodes so that the file has about so many bytes: between the two of the rising `settings` that bracket the size, whole
/// settings are halved until no two are left; of what was tried the nearest is kept. Gives the setting and the file.
///
/// # Errors
/// Those of the codec; no settings.
pub fn equal_bytes<M>(
    codec: &dyn Codec<M>,
    original: &M,
    settings: &[f64],
    bytes: u64,
) -> Result<(f64, Vec<u8>), Cause> {
    let mut sorted = settings.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut best: Option<(f64, Vec<u8>)> = None;
    let mut attempt = |setting: f64| -> Result<u64, Cause> {
        let file = codec.encode(original, setting)?;
        let size = file.len() as u64;
        let nearer = best
            .as_ref()
            .is_none_or(|(_, known)| size.abs_diff(bytes) < (known.len() as u64).abs_diff(bytes));
        if nearer {
            best = Some((setting, file));
        }
        Ok(size)
    };
    // Sizes rise with settings: halving finds the bracket as well.
    let (mut low, mut high) = (0, sorted.len());
    while low < high {
        let middle = (low + high) / 2;
        match attempt(sorted[middle])? < bytes {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    if low > 0 && low < sorted.len() {
        let known = codec.qualities();
        let (mut below, mut above) = (sorted[low - 1], sorted[low]);
        // Only codecs with even, whole settings have some in between.
        let whole = known.iter().all(|setting| setting.fract() == 0.0);
        while whole && above - below > 1.0 {
            let middle = ((below + above) / 2.0).round();
            match attempt(middle) {
                Ok(size) if size < bytes => below = middle,
                Ok(_) => above = middle,
                // A setting that the codec does not have.
                Err(_) => break,
            }
        }
    }
    best.ok_or_else(|| "no settings".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EvalError;

    /// Files of 10 bytes a setting.
    struct Even;

    impl Codec<u8> for Even {
        fn name(&self) -> &str {
            "even"
        }

        fn description(&self) -> String {
            String::new()
        }

        fn version(&self) -> Result<String, EvalError> {
            Ok(String::new())
        }

        fn qualities(&self) -> Vec<f64> {
            vec![0.0, 100.0]
        }

        fn encode(&self, _: &u8, quality: f64) -> Result<Vec<u8>, Cause> {
            Ok(vec![0; 10 * quality as usize])
        }

        fn decode(&self, _: &[u8]) -> Result<u8, Cause> {
            Ok(0)
        }
    }

    #[test]
    fn the_nearest_size_is_found() {
        let find = |bytes| equal_bytes(&Even, &0, &[90.0, 10.0, 50.0], bytes).unwrap();
        for (bytes, setting) in [
            (0, 10.0),
            (444, 44.0),
            (500, 50.0),
            (896, 90.0),
            (5000, 90.0),
        ] {
            let (found, file) = find(bytes);
            assert_eq!(
                (found, file.len()),
                (setting, 10 * setting as usize),
                "{bytes}"
            );
        }
        assert!(equal_bytes(&Even, &0, &[], 5).is_err());
    }
}
