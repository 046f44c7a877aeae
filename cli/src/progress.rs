//! The progress bar, on terminals only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::Console;

/// Steps of the bar per file; tiles move it in between.
const STEPS: u64 = 1000;

/// Progress over the files of a run.
pub struct Progress {
    bar: Option<ProgressBar>,
    files: u64,
}

impl Progress {
    /// A bar for `files` files; none where nobody looks.
    pub fn new(console: &Console, files: usize) -> Self {
        let files = files as u64;
        let bar = console.shows_progress().then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(10);
            let bar = ProgressBar::with_draw_target(Some(files * STEPS), target);
            let template = "{spinner} [{bar:28}] {percent:>3}%  {msg}  {elapsed}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> ").tick_chars("|/-\\ "));
            }
            bar
        });
        Self { bar, files }
    }

    /// Starts file number `index`.
    pub fn start(&self, index: usize, name: &str) {
        if let Some(bar) = &self.bar {
            let message = if self.files > 1 {
                format!("{}/{}  {name}", index + 1, self.files)
            } else {
                name.to_owned()
            };
            bar.set_message(message);
            bar.set_position(index as u64 * STEPS);
            // The first tick comes after this time, so that quick runs draw nothing.
            bar.enable_steady_tick(Duration::from_millis(150));
        }
    }

    /// `done` of `total` parts of file number `index` are finished.
    pub fn part(&self, index: usize, done: usize, total: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(index as u64 * STEPS + done as u64 * STEPS / total.max(1) as u64);
        }
    }

    /// Runs `print` with the bar out of the way.
    pub fn suspend(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
