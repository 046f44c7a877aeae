//! Names of many files in one: `shard-{000000..000012}.tar`, `*.tar`.

use crate::DatasetError;
use std::path::{Path, PathBuf};

/// Most names that braces may stand for.
const MAX_NAMES: usize = 1 << 20;

/// The paths that `source` stands for: itself if it exists or is no pattern, else all names its braces give and all files
/// its wildcards match, sorted for each wildcard.
pub(crate) fn expand(source: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let Some(text) = source.to_str() else {
        return Ok(vec![source.to_path_buf()]);
    };
    if source.exists() || !text.contains(['{', '*', '?', '[']) {
        return Ok(vec![source.to_path_buf()]);
    }
    let fail = |reason: String| DatasetError::Pattern {
        pattern: text.to_owned(),
        reason,
    };
    let mut paths = Vec::new();
    for name in braces(text).map_err(fail)? {
        if !name.contains(['*', '?', '[']) {
            paths.push(PathBuf::from(name));
            continue;
        }
        for path in glob::glob(&name).map_err(|error| fail(error.to_string()))? {
            paths.push(path.map_err(|error| fail(error.to_string()))?);
        }
    }
    if paths.is_empty() {
        return Err(fail("matches nothing".to_owned()));
    }
    Ok(paths)
}

/// Expands all braces, the first one slowest.
fn braces(text: &str) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, behind) = after.split_once('}').ok_or("a brace is not closed")?;
        if inside.contains('{') {
            return Err("braces in braces are not supported".to_owned());
        }
        let choices = choices(inside)?;
        if names.len().saturating_mul(choices.len()) > MAX_NAMES {
            return Err(format!("stands for more than {MAX_NAMES} names"));
        }
        names = names
            .iter()
            .flat_map(|name| {
                choices
                    .iter()
                    .map(move |choice| format!("{name}{before}{choice}"))
            })
            .collect();
        rest = behind;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

fn choices(inside: &str) -> Result<Vec<String>, String> {
    let Some((first, last)) = inside.split_once("..") else {
        return Ok(inside.split(',').map(str::to_owned).collect());
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits
            .then(|| text.parse::<u64>().ok())
            .flatten()
            .ok_or_else(|| format!("invalid range {inside} (expected digits..digits)"))
    };
    let (low, high) = (number(first)?, number(last)?);
    if low > high || high - low >= MAX_NAMES as u64 {
        return Err(format!(
            "invalid range {inside} (expected 1 to {MAX_NAMES} numbers, upwards)"
        ));
    }
    let width = first.len();
    Ok((low..=high).map(|n| format!("{n:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_give_all_names_in_order() {
        assert_eq!(
            braces("s-{008..011}.tar").unwrap(),
            ["s-008.tar", "s-009.tar", "s-010.tar", "s-011.tar"]
        );
        assert_eq!(
            braces("{a,b}/{1..2}x").unwrap(),
            ["a/1x", "a/2x", "b/1x", "b/2x"]
        );
        for bad in ["{1..", "{2..1}", "{a..b}", "{0..99999999}", "{{1..2}}"] {
            assert!(braces(bad).is_err(), "{bad}");
        }
        assert!(braces("{0..1023}{0..1023}{0..1}").is_err());
    }

    #[test]
    fn wildcards_match_files_and_existing_names_are_taken_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.tar", "a.tar", "c.txt", "odd[1].tar"] {
            std::fs::write(dir.path().join(name), []).unwrap();
        }
        let expand = |name: &str| expand(&dir.path().join(name));
        let names = |paths: Vec<PathBuf>| -> Vec<String> {
            paths
                .iter()
                .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(names(expand("?.tar").unwrap()), ["a.tar", "b.tar"]);
        assert_eq!(names(expand("odd[1].tar").unwrap()), ["odd[1].tar"]);
        assert_eq!(names(expand("{c,d}.txt").unwrap()), ["c.txt", "d.txt"]);
        let error = expand("*.zip").unwrap_err().to_string();
        assert!(error.contains("matches nothing"), "{error}");
    }
}
