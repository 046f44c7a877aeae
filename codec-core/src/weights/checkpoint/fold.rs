//! Weight normalization, undone once when a network is imported.

use crate::Error;
use crate::weights::tensors::{HostTensor, Tensors};

impl Tensors {
    /// Replaces the two parts of a normalized weight by the weight itself (Salimans and Kingma 2016):
    /// `x.weight_g` and `x.weight_v`, or `x.parametrizations.weight.original0` and `original1`, become
    /// `x.weight = g * v / ||v||`.
    ///
    /// The norm runs over the axes on which `g` has length 1: all but the first for PyTorch's default.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the parts do not fit each other, or the weight is there already.
    pub fn fold_weight_norm(mut self) -> Result<Self, Error> {
        let parts: Vec<[String; 3]> = self.iter().filter_map(|(name, _)| names(name)).collect();
        for [gain, direction, weight] in parts {
            // A name that only looks like one of a pair.
            if !self.contains(&direction) {
                continue;
            }
            if self.contains(&weight) {
                return Err(Error::malformed(format!(
                    "weights: both {weight} and {gain} are there"
                )));
            }
            if let (Some(g), Some(v)) = (self.remove(&gain), self.remove(&direction)) {
                let folded = fold(&g, &v).ok_or_else(|| {
                    Error::malformed(format!(
                        "weights: {gain} {:?} does not fit {direction} {:?}",
                        g.shape(),
                        v.shape()
                    ))
                })?;
                self.insert(weight, folded);
            }
        }
        Ok(self)
    }
}

/// For the name of a gain: itself, and the names of its direction and of the weight.
fn names(name: &str) -> Option<[String; 3]> {
    if let Some(stem) = name.strip_suffix(".original0") {
        let (stem, parameter) = stem.rsplit_once('.')?;
        let stem = stem.strip_suffix("parametrizations")?;
        let direction = format!("{stem}parametrizations.{parameter}.original1");
        return Some([name.to_owned(), direction, format!("{stem}{parameter}")]);
    }
    let weight = name.strip_suffix("_g")?;
    let parameter = weight.rsplit_once('.').map_or(weight, |(_, p)| p);
    parameter
        .starts_with("weight")
        .then(|| [name.to_owned(), format!("{weight}_v"), weight.to_owned()])
}

fn fold(gain: &HostTensor, direction: &HostTensor) -> Option<HostTensor> {
    let (g, v) = (gain.as_floats()?, direction.as_floats()?);
    let (gain, shape) = (gain.shape(), direction.shape());
    let fits = |(&g, &v): (&usize, &usize)| g == v || g == 1;
    if gain.len() != shape.len() || !gain.iter().zip(shape).all(fits) {
        return None;
    }
    // Which value of the gain belongs to an element, from the element's place in each axis.
    let owner = |mut index: usize| {
        let (mut at, mut stride) = (0, 1);
        for (&d, &own) in shape.iter().zip(gain).rev() {
            if own == d {
                at += index % d * stride;
            }
            index /= d;
            stride *= own;
        }
        at
    };
    let mut squares = vec![0.0f64; g.len()];
    for (index, &v) in v.iter().enumerate() {
        *squares.get_mut(owner(index))? += f64::from(v) * f64::from(v);
    }
    let factors: Vec<f64> = g
        .iter()
        .zip(squares)
        .map(|(&g, square)| f64::from(g) / square.sqrt())
        .collect();
    let values = v.iter().enumerate();
    let values = values.map(|(i, &v)| Some((f64::from(v) * factors.get(owner(i))?) as f32));
    HostTensor::floats(shape, values.collect::<Option<_>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(parts: &[(&str, &[usize], &[f32])]) -> Tensors {
        let mut tensors = Tensors::new();
        for (name, shape, values) in parts {
            tensors.insert(*name, HostTensor::floats(shape, values.to_vec()).unwrap());
        }
        tensors
    }

    #[test]
    fn both_spellings_fold_over_all_axes_but_the_first() {
        let (g, v): (&[f32], &[f32]) = (&[10.0, 1.0], &[3.0, 4.0, 0.0, -2.0]);
        let folded = [6.0, 8.0, 0.0, -1.0];
        let got = tensors(&[
            ("a.weight_g", &[2, 1, 1], g),
            ("a.weight_v", &[2, 1, 2], v),
            ("b.c.parametrizations.weight.original0", &[2, 1], g),
            ("b.c.parametrizations.weight.original1", &[2, 2], v),
            ("weight_g", &[2, 1], g),
            ("weight_v", &[2, 2], v),
            ("a.bias", &[1], &[1.0]),
            ("loss_g", &[1], &[1.0]),
        ]);
        let got = got.fold_weight_norm().unwrap();
        let names: Vec<&str> = got.iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["a.bias", "a.weight", "b.c.weight", "loss_g", "weight"]
        );
        for name in ["a.weight", "b.c.weight", "weight"] {
            assert_eq!(
                got.get(name).unwrap().as_floats().unwrap(),
                folded,
                "{name}"
            );
        }
        assert_eq!(got.shape("a.weight").unwrap(), [2, 1, 2]);
    }

    #[test]
    fn the_gain_names_the_axis() {
        let got = tensors(&[
            ("weight_g", &[1, 2], &[5.0, 2.0]),
            ("weight_v", &[2, 2], &[3.0, 1.0, 4.0, 0.0]),
        ]);
        let got = got.fold_weight_norm().unwrap();
        assert_eq!(
            got.get("weight").unwrap().as_floats().unwrap(),
            [3.0, 2.0, 4.0, 0.0]
        );
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        for (gain, direction) in [(&[3usize, 1][..], &[2usize, 3][..]), (&[2], &[2, 3])] {
            let count = |shape: &[usize]| vec![1.0; shape.iter().product()];
            let parts = [
                ("weight_g", gain, &count(gain)[..]),
                ("weight_v", direction, &count(direction)[..]),
            ];
            assert!(tensors(&parts).fold_weight_norm().is_err());
        }
        let both = [
            ("weight", &[1usize][..], &[1.0f32][..]),
            ("weight_g", &[1], &[1.0]),
            ("weight_v", &[1], &[1.0]),
        ];
        assert!(tensors(&both).fold_weight_norm().is_err());
    }
}
