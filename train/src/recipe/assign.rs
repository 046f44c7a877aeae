//! `--set key.path=value`.

use toml::{Table, Value};

/// Puts a value into a tree; the value is in TOML syntax, and a bare word is a string.
///
/// # Errors
/// What is wrong with the assignment.
pub(crate) fn assign(root: &mut Value, assignment: &str) -> Result<Vec<String>, String> {
    let (key, value) = assignment
        .split_once('=')
        .ok_or_else(|| "expected key=value".to_owned())?;
    let path: Vec<String> = key
        .trim()
        .split('.')
        .map(|part| part.trim().to_owned())
        .collect();
    let mut slot = root;
    for part in &path {
        if part.is_empty() {
            return Err("empty key".into());
        }
        slot = match slot {
            Value::Table(table) => table
                .entry(part.clone())
                .or_insert_with(|| Value::Table(Table::new())),
            Value::Array(items) => {
                let count = items.len();
                part.parse::<usize>()
                    .ok()
                    .and_then(|i| items.get_mut(i))
                    .ok_or_else(|| format!("no item {part} (expected 0..{count})"))?
            }
            _ => return Err(format!("{part} is not below a table")),
        };
    }
    let value = value.trim();
    *slot = toml::from_str::<Table>(&format!("v = {value}"))
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(value.to_owned()));
    Ok(path)
}
