//! Fills a template of our own: `{{name}}` stands for a value. Values are not looked into.

use crate::EvalError;

pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> Result<String, EvalError> {
    let mut parts = template.split("{{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let unusable = |reason: &str| EvalError::Unusable {
            what: "template of the report".to_owned(),
            reason: reason.to_owned(),
        };
        let (name, rest) = part
            .split_once("}}")
            .ok_or_else(|| unusable("a name has no end"))?;
        let value = values.iter().find(|(key, _)| *key == name);
        out.push_str(value.ok_or_else(|| unusable("unknown name"))?.1);
        out.push_str(rest);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_once() {
        let values = [("a", "1{{b}}"), ("b", "2")];
        assert_eq!(fill("x{{a}}y{{b}}", &values).unwrap(), "x1{{b}}y2");
        assert!(fill("{{c}}", &values).is_err() && fill("{{a", &values).is_err());
    }
}
