//! What people see of a training run: a bar or a dashboard on a terminal, lines elsewhere, JSON on request.

mod bar;
mod dashboard;
pub mod tap;
mod text;

use codec::training::{Event, Observer};

use crate::console::{Console, print_json};
use crate::exit::Failure;
use bar::Bar;
use dashboard::Dashboard;

/// Shows the events of a run.
pub struct Watch<'a> {
    console: &'a Console,
    json: bool,
    display: Display,
}

/// Where the events go for people.
enum Display {
    Lines,
    Bar(Bar),
    Dashboard(Dashboard),
}

impl<'a> Watch<'a> {
    /// A display for a run of `total` steps of the model `name`: a dashboard if wanted, else a bar where somebody looks,
    /// else lines.
    ///
    /// # Errors
    /// [`Failure::Usage`] for a dashboard without a terminal; a terminal that cannot be set up.
    pub fn new(
        console: &'a Console,
        json: bool,
        dashboard: bool,
        name: &str,
        total: u64,
    ) -> anyhow::Result<Self> {
        let display = match (dashboard, console.shows_progress()) {
            (true, false) => {
                let text =
                    "--dashboard needs a terminal on stderr, and neither --quiet nor --no-progress";
                return Err(Failure::Usage(text.into()).into());
            }
            (true, true) => Display::Dashboard(Dashboard::open(name, total)?),
            (false, true) => Display::Bar(Bar::new(total)),
            (false, false) => Display::Lines,
        };
        Ok(Self {
            console,
            json,
            display,
        })
    }
}

impl Observer for Watch<'_> {
    fn event(&mut self, event: &Event) {
        if self.json
            && let Ok(value) = serde_json::to_value(event)
        {
            // A closed pipe must not stop a long run.
            let _ = print_json(&value);
        }
        match (&self.display, event) {
            (Display::Lines, Event::Step(m)) => {
                let line = format!("step {}  {}", m.step, text::step(m));
                self.console.say(&line);
            }
            (Display::Lines, event) => {
                if let Some(line) = text::event(event) {
                    self.console.say(&line);
                }
            }
            (Display::Bar(bar), event) => bar.event(event, self.console),
            (Display::Dashboard(dashboard), event) => dashboard.event(event),
        }
    }
}
