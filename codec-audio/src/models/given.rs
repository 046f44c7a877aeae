//! The configuration that came with a checkpoint, against what the tensors say.

use codec_core::Error;
use codec_core::weights::Tensors;
use serde_json::Value;

/// Most channels of a layer, and most values of a codebook's row.
pub(crate) const WIDTH_MAX: usize = 1 << 14;
/// Most codes of a codebook.
pub(crate) const CODES_MAX: usize = 1 << 22;
/// Most codebooks, and most layers of one kind.
pub(crate) const COUNT_MAX: usize = 256;
/// Most samples for one frame of codes.
pub(crate) const HOP_MAX: usize = 1 << 20;

/// An object of a configuration, or nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a>(pub Option<&'a Value>);

impl<'a> Given<'a> {
    /// The object under a name; this one if there is none.
    pub fn within(self, name: &str) -> Self {
        let inner = self.field(name).filter(|inner| inner.is_object());
        Self(inner.or(self.0))
    }

    /// The object under a name.
    pub fn at(self, name: &str) -> Self {
        Self(self.field(name))
    }

    fn field(self, name: &str) -> Option<&'a Value> {
        self.0?.get(name).filter(|value| !value.is_null())
    }

    /// Whether a name is there without a value.
    pub fn is_null(self, name: &str) -> bool {
        self.0.and_then(|object| object.get(name)) == Some(&Value::Null)
    }

    pub fn size(self, name: &str) -> Option<usize> {
        usize::try_from(self.field(name)?.as_u64()?).ok()
    }

    pub fn real(self, name: &str) -> Option<f64> {
        self.field(name)?.as_f64().filter(|value| value.is_finite())
    }

    pub fn flag(self, name: &str) -> Option<bool> {
        self.field(name)?.as_bool()
    }

    pub fn text(self, name: &str) -> Option<&'a str> {
        self.field(name)?.as_str()
    }

    pub fn sizes(self, name: &str) -> Option<Vec<usize>> {
        let items = self.field(name)?.as_array()?.iter();
        items
            .map(|item| usize::try_from(item.as_u64()?).ok())
            .collect()
    }

    pub fn reals(self, name: &str) -> Option<Vec<f64>> {
        let items = self.field(name)?.as_array()?.iter();
        items.map(Value::as_f64).collect()
    }

    /// Refuses a value that contradicts the tensors.
    pub fn agree(self, name: &str, found: usize) -> Result<(), Error> {
        agree(name, self.size(name), found)
    }

    /// Refuses values that contradict the tensors.
    pub fn agree_all(self, name: &str, found: &[usize]) -> Result<(), Error> {
        agree(name, self.sizes(name).as_deref(), found)
    }

    /// A positive value, or its default.
    pub fn positive(self, name: &str, default: usize, most: usize) -> Result<usize, Error> {
        let value = self.size(name).unwrap_or(default);
        at_most(name, value, most)?;
        Ok(value)
    }
}

/// Refuses what was given if it is something else than `found`.
pub(crate) fn agree<T: PartialEq + std::fmt::Debug>(
    name: &str,
    given: Option<T>,
    found: T,
) -> Result<(), Error> {
    match given {
        Some(given) if given != found => Err(Error::bad_parameter(format!(
            "configuration: {name} is {given:?}, the tensors say {found:?}"
        ))),
        _ => Ok(()),
    }
}

/// Refuses 0 and what is beyond any model.
pub(crate) fn at_most(what: &str, value: usize, most: usize) -> Result<(), Error> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::malformed(format!(
        "{what} is {value} (expected 1..={most})"
    )))
}

/// Shape of a tensor with so many dimensions.
pub(crate) fn shape<const D: usize>(tensors: &Tensors, name: &str) -> Result<[usize; D], Error> {
    let shape = tensors
        .shape(name)
        .ok_or_else(|| Error::malformed(format!("weights: {name} is missing")))?;
    let found: [usize; D] = shape.try_into().map_err(|_| {
        Error::malformed(format!(
            "weights: {name} has shape {shape:?} (expected {D} dimensions)"
        ))
    })?;
    Ok(found)
}

/// How many of `part.0`, `part.1`, ... have a tensor `rest`.
pub(crate) fn count(tensors: &Tensors, part: &str, rest: &str) -> usize {
    let there = |number: &usize| tensors.contains(&format!("{part}.{number}.{rest}"));
    (0..COUNT_MAX).take_while(there).count()
}

/// Codes, their width and their number, of codebooks `part.0`, `part.1`, ... that are all of one size.
pub(crate) fn codebooks(tensors: &Tensors, part: &str, rest: &str) -> Result<[usize; 3], Error> {
    let stages = count(tensors, part, rest);
    let [codes, width] = shape(tensors, &format!("{part}.0.{rest}"))?;
    at_most("codes of a codebook", codes, CODES_MAX)?;
    at_most("values of a code", width, WIDTH_MAX)?;
    for stage in 1..stages {
        let name = format!("{part}.{stage}.{rest}");
        if shape::<2>(tensors, &name)? != [codes, width] {
            return Err(Error::unsupported(format!(
                "{name} has another shape than the first codebook's {codes}x{width}"
            )));
        }
    }
    Ok([stages, codes, width])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_found_and_compared() {
        let json = json!({"a": 3, "inner": {"b": [1, 2]}, "none": null, "c": -1});
        let given = Given(Some(&json));
        assert!(given.agree("a", 3).is_ok() && given.agree("x", 7).is_ok());
        assert!(given.agree("a", 4).is_err());
        assert!(given.within("inner").agree_all("b", &[1, 2]).is_ok());
        assert!(given.at("inner").agree_all("b", &[1]).is_err());
        assert_eq!(given.within("absent").size("a"), Some(3));
        assert_eq!(given.at("absent").size("a"), None);
        assert_eq!(given.size("none"), None);
        assert_eq!(given.size("c"), None);
        assert!(given.positive("a", 1, 2).is_err());
    }
}
