//! Text from probabilities of symbols (Graves et al., "Connectionist temporal classification", ICML 2006).

use super::TaskError;
use super::config::Ctc;
use super::error::read_text;
use super::network::greatest;
use super::onnx::Tensor;
use std::collections::BTreeMap;
use std::path::Path;

/// Most symbols.
const LIMIT: usize = 1 << 17;

/// Symbols in order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spelling {
    symbols: Vec<String>,
    blank: usize,
}

impl Spelling {
    pub(super) fn open(task: &'static str, config: &Ctc) -> Result<Self, TaskError> {
        let path = config.vocabulary.as_deref().ok_or(TaskError::Missing {
            task,
            what: "a vocabulary (`ctc.vocabulary` in its configuration)",
        })?;
        let symbols = read(path)?;
        if config.blank >= symbols.len() {
            return Err(TaskError::BadSetting {
                name: "ctc.blank",
                value: config.blank.to_string(),
                expected: "the number of a symbol of the vocabulary",
            });
        }
        Ok(Self {
            symbols,
            blank: config.blank,
        })
    }

    /// The best symbol of each step, without repetitions, then without blanks.
    pub(super) fn text(&self, output: &Tensor) -> Result<String, TaskError> {
        let count = self.symbols.len();
        if !matches!(output.shape.as_slice(), [1, _, n] | [_, n] if *n == count) {
            return Err(output.unexpected(format!("[1, steps, {count}]")));
        }
        let mut text = String::new();
        let mut last = self.blank;
        for scores in output.data.chunks_exact(count) {
            let best = greatest(scores.iter().copied());
            if best != last && best != self.blank {
                text.push_str(self.symbols.get(best).map_or("", |symbol| symbol));
            }
            last = best;
        }
        Ok(text)
    }
}

/// Reads symbols: one in each line, or a JSON list, or a JSON map to numbers. `|` and `▁` are spaces, and names in angle
/// brackets (`<pad>`) are nothing.
fn read(path: &Path) -> Result<Vec<String>, TaskError> {
    let text = read_text(path)?;
    let json = path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("json"));
    let symbols: Vec<String> = if !json {
        text.lines().map(str::to_owned).collect()
    } else if text.trim_start().starts_with('[') {
        serde_json::from_str(&text).map_err(|error| TaskError::malformed(path, error))?
    } else {
        let numbers: BTreeMap<String, usize> =
            serde_json::from_str(&text).map_err(|error| TaskError::malformed(path, error))?;
        let mut symbols = vec![None; numbers.len()];
        for (symbol, number) in numbers {
            match symbols.get_mut(number) {
                Some(place @ None) => *place = Some(symbol),
                _ => {
                    let reason = format!("number {number} of `{symbol}` is too high or taken");
                    return Err(TaskError::malformed(path, reason));
                }
            }
        }
        symbols.into_iter().flatten().collect()
    };
    if symbols.is_empty() {
        return Err(TaskError::malformed(path, "there are no symbols"));
    }
    if symbols.len() > LIMIT {
        return Err(TaskError::TooLarge {
            what: "vocabulary",
            actual: symbols.len(),
            limit: LIMIT,
        });
    }
    let spell = |symbol: String| {
        if symbol.len() > 1 && symbol.starts_with('<') && symbol.ends_with('>') {
            String::new()
        } else {
            symbol.replace(['|', '▁'], " ")
        }
    };
    Ok(symbols.into_iter().map(spell).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vocabularies_and_repetitions() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            Spelling::open(
                "recognition",
                &Ctc {
                    vocabulary: Some(path),
                    blank: 0,
                },
            )
        };
        let lines = open("v.txt", "<pad>\na\nb\n|\n").unwrap();
        assert_eq!(
            open("v.json", r#"["<pad>", "a", "b", "|"]"#).unwrap(),
            lines
        );
        let map = r#"{"a": 1, "|": 3, "<pad>": 0, "b": 2}"#;
        assert_eq!(open("v.json", map).unwrap(), lines);
        for bad in ["", "[]", "{}", r#"{"a": 1}"#, r#"{"a": 0, "b": 0}"#, "[1]"] {
            assert!(open("v.json", bad).is_err(), "{bad}");
        }
        let steps = [1, 1, 0, 1, 3, 2, 2, 0, 0];
        let one_hot = |best: &usize| [0, 1, 2, 3].map(|i| f32::from(u8::from(i == *best)));
        let data: Vec<f32> = steps.iter().flat_map(one_hot).collect();
        let tensor = Tensor::new(vec![1, 9, 4], data.clone()).unwrap();
        assert_eq!(lines.text(&tensor).unwrap(), "aa b");
        let wrong = Tensor::new(vec![1, 12, 3], data).unwrap();
        assert!(matches!(lines.text(&wrong), Err(TaskError::Output { .. })));
    }
}
