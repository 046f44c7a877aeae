//! Messages about recipes, and the nearest spelling of a wrong key.

use crate::TrainError;

/// A value out of range.
pub(crate) fn invalid(key: &str, value: &dyn std::fmt::Display, range: &str) -> TrainError {
    TrainError::Recipe(format!("invalid {key} {value} (expected {range})"))
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (slot, y) in row.iter_mut().skip(1).zip(&b) {
            let best = (diagonal + usize::from(x != *y))
                .min(left + 1)
                .min(*slot + 1);
            diagonal = *slot;
            *slot = best;
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// The nearest of some names, if it is near enough to be meant.
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = wrong.chars().count() / 3 + 1;
    names
        .map(|name| {
            // `optimizer` for `optim` is far by letters and near by meaning.
            let starts = wrong.len() > 2 && (name.starts_with(wrong) || wrong.starts_with(name));
            (if starts { 1 } else { distance(wrong, name) }, name)
        })
        .min()
        .filter(|(d, _)| *d <= allowed)
        .map(|(_, name)| name)
}

/// Names an unknown key and what was probably meant.
pub(crate) fn unknown<'a>(what: &str, wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match nearest(wrong, names.iter().copied()) {
        Some(near) => format!("unknown {what} '{wrong}' (did you mean '{near}'?)"),
        None => format!(
            "unknown {what} '{wrong}' (expected one of {})",
            names.join(", ")
        ),
    }
}

/// Serde's message of an unknown field or variant, with the nearest one that there is. Other messages stay.
pub(crate) fn improve(message: &str) -> String {
    for (start, what) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        let Some(at) = message.find(start) else {
            continue;
        };
        let (before, rest) = message.split_at(at);
        // Every second piece between back quotes is a name: the wrong one, then those that exist.
        let mut names = rest.split('`').skip(1).step_by(2);
        if let Some(wrong) = names.next() {
            return format!("{before}{}", unknown(what, wrong, names));
        }
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let names = ["lr", "lr_end", "warmup", "clip_norm"];
        for (wrong, right) in [
            ("lrr", "lr"),
            ("warm_up", "warmup"),
            ("clipnorm", "clip_norm"),
        ] {
            assert_eq!(nearest(wrong, names.into_iter()), Some(right));
        }
        assert_eq!(nearest("nonsense", names.into_iter()), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn messages_get_a_suggestion() {
        assert_eq!(
            improve("line 1: unknown field `lrr`, expected one of `lr`, `warmup`"),
            "line 1: unknown key 'lrr' (did you mean 'lr'?)"
        );
        assert_eq!(improve("missing field `name`"), "missing field `name`");
    }
}
