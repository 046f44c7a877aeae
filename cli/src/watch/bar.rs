//! The progress bar of a run.

use codec::training::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text;
use crate::console::Console;

/// A bar whose message is the newest report; other events are lines above it.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar for a run of `total` steps.
    pub fn new(total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(4));
        if let Ok(style) = ProgressStyle::with_template("[{bar:24}] {pos}/{len}  {msg}  eta {eta}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// Shows an event.
    pub fn event(&self, event: &Event, console: &Console) {
        match event {
            Event::Step(m) => {
                self.0.set_position(m.step);
                self.0.set_message(text::step(m));
            }
            other => {
                if let Event::Start { step, .. } = other {
                    // The time that is left is reckoned from here, not from step 0.
                    self.0.set_position(*step);
                    self.0.reset_eta();
                }
                if let Some(line) = text::event(other) {
                    self.0.suspend(|| console.say(&line));
                }
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
