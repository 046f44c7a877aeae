//! Text that is safe inside HTML and scripts, numbers as text, and Base64.

/// Text as content or as a quoted attribute of HTML.
pub(super) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// JSON that can stand inside a `script` element: what could end the element, or a line of a script, is spelt out.
/// These letters occur in strings of JSON only.
pub(super) fn script(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

/// A number for people: four digits behind the point below 10, two below 1000, none above.
pub(super) fn number(value: f64) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let digits = match value.abs() {
        size if size < 10.0 => 4,
        size if size < 1000.0 => 2,
        _ => 0,
    };
    format!("{value:.digits$}")
}

/// A number that may be missing.
pub(super) fn optional(value: Option<f64>) -> String {
    number(value.unwrap_or(f64::NAN))
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding (RFC 4648, section 4).
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| chunk.get(i).map_or(0, |byte| u32::from(*byte));
        let group = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * i)) as usize & 63];
            out.push(if i > chunk.len() {
                '='
            } else {
                char::from(letter)
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of RFC 4648, section 10.
    #[test]
    fn base64_as_in_the_standard() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xfe, 0xbf]), "/+/+vw==");
    }

    #[test]
    fn nothing_gets_out() {
        assert_eq!(
            html("<a b='c' d=\"&\">"),
            "&lt;a b=&#39;c&#39; d=&quot;&amp;&quot;&gt;"
        );
        let value = "</script><!-- & \u{2028}";
        let json = serde_json::to_string(value).unwrap();
        let safe = script(&json);
        assert!(!safe.contains(['<', '>', '&', '\u{2028}']), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), value);
    }

    #[test]
    fn numbers() {
        let texts = [0.12345, 31.457, 12_345.6, f64::INFINITY, f64::NAN].map(number);
        assert_eq!(texts, ["0.1235", "31.46", "12346", "∞", "–"]);
        assert_eq!(optional(None), "–");
    }
}
