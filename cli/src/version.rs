//! What `--version` prints.

use std::sync::LazyLock;

static LONG: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} (format {}, back ends {}, commit {})",
        env!("CARGO_PKG_VERSION"),
        codec::FORMAT_VERSION,
        codec::BACKENDS.join(" "),
        env!("CODEC_COMMIT")
    )
});

/// Version of the program, of the file format, back ends and commit.
pub fn long() -> &'static str {
    &LONG
}
