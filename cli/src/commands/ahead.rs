//! Sounds that are read ahead of their turn, so that several go through a model at once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use codec::sound::{Sound, SoundReader};
use codec::{AudioCodec, Error, Limits, Tokens};

use super::sound::Heard;
use crate::media::{self, Input};
use crate::plan::{Job, Source};

/// Batches of sound that are read at once: among so many, sounds of about equal length are found.
const BATCHES: f64 = 8.0;
/// Most sounds that are read at once.
const SOUNDS: usize = 1 << 12;

/// Tokens that wait for the turn of their job.
pub struct Ready {
    /// The tokens.
    pub tokens: Result<Tokens, Error>,
    /// The sound.
    pub heard: Heard,
    /// Its share of the time that all took together.
    pub spent: Duration,
}

/// Reads ahead in a list of jobs.
pub struct Ahead<'a> {
    jobs: &'a [Job],
    /// Seconds of a batch.
    seconds: f64,
    /// Whether outputs that are there are written anew.
    force: bool,
    /// Number of the job whose turn it is.
    turn: usize,
    /// Number of the first job that was not looked at.
    next: usize,
    ready: VecDeque<(usize, Ready)>,
}

/// How a sound that was opened for its turn goes on.
pub enum Opened {
    /// In a batch with others.
    Ready(Box<Ready>),
    /// Alone, since it is long or does not tell its length.
    Alone(Box<SoundReader>),
}

impl<'a> Ahead<'a> {
    /// For jobs that take their turns in this order, with batches of so many seconds.
    pub fn new(jobs: &'a [Job], seconds: f64, force: bool) -> Self {
        Self {
            jobs,
            seconds,
            force,
            turn: 0,
            next: 0,
            ready: VecDeque::new(),
        }
    }

    /// It is the turn of `job`: what is ready of it.
    pub fn turn(&mut self, job: &Job) -> Option<Ready> {
        let later = self.jobs.iter().skip(self.turn);
        let passed = later.take_while(|other| !std::ptr::eq(*other, job)).count();
        self.turn += passed;
        self.next = self.next.max(self.turn + 1);
        // What was read ahead may have got an output meanwhile, and then has no turn.
        while self.ready.front().is_some_and(|(job, _)| *job < self.turn) {
            self.ready.pop_front();
        }
        let (_, ready) = self.ready.pop_front_if(|(job, _)| *job == self.turn)?;
        Some(ready)
    }

    /// Tokens of the sound whose turn it is, and of those that can go with it.
    ///
    /// # Errors
    /// Those of reading the first sound. The others' are told at their turns.
    pub fn open(
        &mut self,
        reader: SoundReader,
        codec: &AudioCodec,
        codebooks: Option<usize>,
        limits: &Limits,
    ) -> anyhow::Result<Opened> {
        if !self.fits(&reader) {
            return Ok(Opened::Alone(Box::new(reader)));
        }
        let started = Instant::now();
        let mut sounds = vec![(self.turn, reader.read_all()?)];
        self.read(&mut sounds, limits);
        let all: Vec<&Sound> = sounds.iter().map(|(_, sound)| sound).collect();
        let tokens = codec.tokenize_batch(&all, codebooks, self.seconds);
        let heard: Vec<Heard> = all.iter().map(|sound| Heard::of(sound)).collect();
        let whole: f64 = heard.iter().map(|heard| heard.seconds).sum();
        let elapsed = started.elapsed();
        let mut ready = sounds
            .iter()
            .zip(heard)
            .zip(tokens)
            .map(|((job, heard), tokens)| {
                let share = heard.seconds / whole.max(f64::MIN_POSITIVE);
                let spent = elapsed.mul_f64(share.clamp(0.0, 1.0));
                let ready = Ready {
                    tokens,
                    heard,
                    spent,
                };
                (job.0, ready)
            });
        let first = ready.next().map(|(_, ready)| ready);
        self.ready.extend(ready);
        let first = first.ok_or_else(|| anyhow::anyhow!("no tokens of the first sound"))?;
        Ok(Opened::Ready(Box::new(first)))
    }

    /// Whether a sound says that it is no longer than a batch.
    fn fits(&self, reader: &SoundReader) -> bool {
        let info = reader.info();
        let seconds = |samples| samples as f64 / f64::from(info.rate.max(1));
        info.samples.is_some_and(|n| seconds(n) <= self.seconds)
    }

    /// Reads sounds of jobs that are to come. Those that cannot be read tell why at their turns.
    fn read(&mut self, sounds: &mut Vec<(usize, Sound)>, limits: &Limits) {
        let mut left = BATCHES * self.seconds;
        left -= sounds.iter().map(|(_, sound)| sound.seconds()).sum::<f64>();
        while left > 0.0 && sounds.len() < SOUNDS {
            let Some(job) = self.jobs.get(self.next) else {
                break;
            };
            self.next += 1;
            let taken = !self.force && job.target.is_taken();
            if job.conflict.is_some() || taken || job.source == Source::Stdin {
                continue;
            }
            match media::open(&job.source, limits) {
                Ok(Input::Sound(reader)) if self.fits(&reader) => {
                    if let Ok(sound) = reader.read_all() {
                        left -= sound.seconds();
                        sounds.push((self.next - 1, sound));
                    }
                }
                // A picture ends the search, so that a folder of pictures is not read twice for nothing.
                Ok(Input::Picture(_)) => break,
                _ => {}
            }
        }
    }
}
