//! The dashboard of a run: charts, validations, speed and messages on the whole terminal.
//!
//! It has a thread of its own, so that keys answer while a step computes. Burn's own dashboard is not used: its thread
//! spins without sleep, which takes one core from a training on the CPU, it writes to stdout, and its way to quit panics.

mod screen;
mod state;
mod view;

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use codec::training::Event;
use ratatui::crossterm::event::{
    self, Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
};

use super::tap;
use crate::interrupt;
use screen::Screen;
use state::State;

/// Longest time between two looks at keys and events.
const TICK: Duration = Duration::from_millis(100);
/// Time between two drawings when nothing happens.
const REDRAW: Duration = Duration::from_millis(500);

/// A dashboard on the terminal. Dropping it gives the terminal back and prints the messages that were shown.
pub struct Dashboard {
    events: Option<Sender<Event>>,
    thread: Option<JoinHandle<State>>,
}

impl Dashboard {
    /// Takes the terminal over for a run of `total` steps of the model `name`.
    ///
    /// # Errors
    /// A terminal that cannot be switched to single keys.
    pub fn open(name: &str, total: u64) -> anyhow::Result<Self> {
        let screen = Screen::open()?;
        tap::hold();
        let state = State::new(name, total);
        let (events, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("dashboard".into())
            .spawn(move || run(screen, state, &receiver))?;
        Ok(Self {
            events: Some(events),
            thread: Some(thread),
        })
    }

    /// Shows an event.
    pub fn event(&self, event: &Event) {
        let small = match event {
            // Samples are large, and not shown.
            Event::Validation {
                step,
                score,
                best,
                points,
                ..
            } => Event::Validation {
                step: *step,
                score: *score,
                best: *best,
                points: points.clone(),
                samples: Vec::new(),
            },
            other => other.clone(),
        };
        if let Some(events) = &self.events {
            // Fails when the terminal went away; the run goes on without.
            let _ = events.send(small);
        }
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.events = None;
        let state = self.thread.take().and_then(|thread| thread.join().ok());
        let late = tap::release();
        let shown = state.into_iter().flat_map(State::into_messages);
        for line in shown.chain(late) {
            eprintln!("{line}");
        }
    }
}

/// Draws until the events end; gives back what was shown.
fn run(mut screen: Screen, mut state: State, events: &Receiver<Event>) -> State {
    let mut drawn: Option<Instant> = None;
    loop {
        let mut changed = false;
        loop {
            match events.try_recv() {
                Ok(event) => {
                    state.event(&event, Instant::now());
                    changed = true;
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return state,
            }
        }
        for line in tap::take() {
            state.message(line);
            changed = true;
        }
        if changed || drawn.is_none_or(|at| at.elapsed() >= REDRAW) {
            if screen
                .draw(|frame| view::draw(frame, &state, Instant::now()))
                .is_err()
            {
                return state;
            }
            drawn = Some(Instant::now());
        }
        match event::poll(TICK) {
            Ok(true) => match event::read() {
                Ok(Input::Key(key)) if stops(&key) => {
                    state.stopping = true;
                    drawn = None;
                    interrupt::raise();
                }
                Ok(_) => drawn = None, // resized, perhaps
                Err(_) => return state,
            },
            Ok(false) => {}
            Err(_) => return state,
        }
    }
}

/// `q`, and Ctrl-C, which is a key like any other while the dashboard has the terminal.
fn stops(key: &KeyEvent) -> bool {
    key.kind == KeyEventKind::Press
        && match key.code {
            KeyCode::Char('q') => true,
            KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_and_interrupt_stop() {
        let key = |code, modifiers| stops(&KeyEvent::new(KeyCode::Char(code), modifiers));
        assert!(key('q', KeyModifiers::NONE) && key('c', KeyModifiers::CONTROL));
        assert!(!key('c', KeyModifiers::NONE) && !key('x', KeyModifiers::CONTROL));
    }
}
