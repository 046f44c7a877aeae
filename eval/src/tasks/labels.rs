//! Labels and transcripts: CSV files of `file,label`.

use super::TaskError;
use super::error::read_text;
use std::collections::BTreeMap;
use std::path::Path;

/// What is known about files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Reads a CSV file with two columns, the file as reports name it (`/` between folders) and its label. The first row
    /// is passed over where its first field is `file`. Fields with commas or line breaks stand in double quotes.
    ///
    /// # Errors
    /// Rows without two fields, files named twice, quotes that do not end.
    pub fn read(path: &Path) -> Result<Self, TaskError> {
        Self::parse(&read_text(path)?).map_err(|reason| TaskError::malformed(path, reason))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut labels = BTreeMap::new();
        for (number, row) in rows(text.trim_start_matches('\u{feff}'))?
            .into_iter()
            .enumerate()
        {
            let number = number + 1;
            let [file, label] = <[String; 2]>::try_from(row)
                .map_err(|row| format!("row {number} has {} fields (expected 2)", row.len()))?;
            if number == 1 && file.trim() == "file" {
                continue;
            }
            let file = file.trim().replace('\\', "/");
            let file = file.strip_prefix("./").unwrap_or(&file).to_owned();
            if labels.contains_key(&file) {
                return Err(format!("row {number} names {file} again"));
            }
            labels.insert(file, label.trim().to_owned());
        }
        if labels.is_empty() {
            return Err("there are no labels".into());
        }
        Ok(Self(labels))
    }

    /// The label of a file.
    ///
    /// # Errors
    /// [`TaskError::NoLabel`].
    pub fn get(&self, file: &str) -> Result<&str, TaskError> {
        let label = self.0.get(file).map(String::as_str);
        label.ok_or_else(|| TaskError::NoLabel {
            file: file.to_owned(),
        })
    }

    /// All files and labels.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(file, label)| (file.as_str(), label.as_str()))
    }
}

/// Rows of fields; empty lines are passed over.
fn rows(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut rows = Vec::new();
    let (mut row, mut field) = (Vec::new(), String::new());
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.trim().is_empty() => {
                field.clear();
                quoted = true;
            }
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted && characters.peek() == Some(&'\n') => (),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            c => field.push(c),
        }
    }
    if quoted {
        return Err("a quote does not end".into());
    }
    row.push(field);
    rows.push(row);
    rows.retain(|row| !matches!(row.as_slice(), [one] if one.trim().is_empty()));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_quotes() {
        let labels = Labels::parse(
            "\u{feff}file,label\r\na/b.png, cat\n\n\"c,d.png\",\"say \"\"so\"\", \nthen\"\n./e.png,",
        )
        .unwrap();
        assert_eq!(labels.get("a/b.png").unwrap(), "cat");
        assert_eq!(labels.get("c,d.png").unwrap(), "say \"so\", \nthen");
        assert_eq!(labels.get("e.png").unwrap(), "");
        assert!(matches!(
            labels.get("b.png"),
            Err(TaskError::NoLabel { .. })
        ));
        for bad in ["", "file,label\n", "a,b,c", "a", "a,b\na,c", "a,\"b"] {
            assert!(Labels::parse(bad).is_err(), "{bad:?}");
        }
    }
}
