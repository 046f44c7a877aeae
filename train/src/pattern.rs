//! Patterns over parameter names.

/// Whether a pattern with `*` (any letters) and `?` (one letter) covers a name: it matches the name, or a part of it up
/// to a point, so that `analysis` covers `analysis.input.weight` but not `analysis_2.weight`.
pub(crate) fn covers(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let ends = name
        .iter()
        .enumerate()
        .filter(|(_, c)| **c == '.')
        .map(|(i, _)| i)
        .chain([name.len()]);
    for end in ends {
        if name.get(..end).is_some_and(|part| matches(&pattern, part)) {
            return true;
        }
    }
    false
}

/// Whether any pattern covers a name.
pub(crate) fn any<S: AsRef<str>>(patterns: &[S], name: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| covers(pattern.as_ref(), name))
}

/// Greedy matching with one point to come back to: the last star.
fn matches(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&c) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&q) if q == '?' || q == c => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern
        .get(p..)
        .is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_names_and_what_is_below() {
        for (pattern, name, expected) in [
            ("analysis", "analysis.input.weight", true),
            ("analysis", "analysis_2.weight", false),
            ("analysis", "entropy.analysis.weight", false),
            ("*.analysis", "entropy.analysis.weight", true),
            ("entropy.passes.?", "entropy.passes.3.mean.bias", true),
            ("*bias", "entropy.passes.3.mean.bias", true),
            ("*.b*s", "a.bias", true),
            ("*.b*t", "a.bias", false),
            ("*", "anything", true),
            ("", "anything", false),
        ] {
            assert_eq!(covers(pattern, name), expected, "{pattern} {name}");
        }
    }
}
