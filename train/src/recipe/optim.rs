//! Optimizer, schedule and averaging, as a recipe writes them.

use serde::{Deserialize, Serialize};

use super::suggest::invalid;
use crate::TrainError;

/// Algorithms that update parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimKind {
    /// Adam (Kingma and Ba 2015); weight decay is added to the gradient.
    Adam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    Adamw,
    /// Adan (Xie et al. 2022), adaptive Nesterov momentum.
    Adan,
    /// Stochastic gradient descent, with `momentum`.
    Sgd,
    /// RMSprop (Tieleman and Hinton 2012).
    Rmsprop,
    /// Muon (Jordan et al. 2024) for kernels, AdamW for everything else.
    Muon,
    /// SOAP (Vyas et al. 2024): Adam in the eigenbasis of Shampoo's preconditioner.
    Soap,
}

/// Course of the learning rate over a stage, after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Half a cosine from `lr` to `lr_end`.
    Cosine,
    /// Straight from `lr` to `lr_end`.
    Linear,
    /// Geometric from `lr` to `lr_end`, which must be positive.
    Exponential,
    /// `lr` times `decay` every `decay_every` steps.
    Step,
    /// Always `lr`.
    Constant,
}

/// Optimizer and schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Optim {
    /// Algorithm.
    pub kind: OptimKind,
    /// Learning rate at the start of a stage, after warm-up.
    pub lr: f64,
    /// Learning rate at its end.
    pub lr_end: f64,
    /// Course in between.
    pub schedule: Schedule,
    /// Steps of linear warm-up at the start of a stage.
    pub warmup: u64,
    /// Factor of the step schedule.
    pub decay: f64,
    /// Interval of the step schedule.
    pub decay_every: u64,
    /// Decay of the mean gradient and of the mean squared gradient (Adam and its kin; RMSprop uses the second).
    pub betas: (f32, f32),
    /// Keeps denominators away from zero.
    pub epsilon: f32,
    /// Decay of weights a step, relative to the learning rate.
    pub weight_decay: f32,
    /// Momentum of SGD, RMSprop and Muon.
    pub momentum: f32,
    /// Largest norm of the whole gradient; 0 for no limit.
    pub clip_norm: f32,
    /// Batches whose gradients are averaged into one step.
    pub accumulate: u64,
    /// Optimizer of the family's auxiliary parameters, where it has some; what is left out is as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aux: Option<Auxiliary>,
}

/// Optimizer of auxiliary parameters or of a discriminator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auxiliary {
    /// Algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<OptimKind>,
    /// Learning rate, constant after the warm-up.
    pub lr: f64,
    /// Decays of Adam and its kin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub betas: Option<(f32, f32)>,
    /// Largest norm of this group's gradient; 0 for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f32>,
}

impl Default for Optim {
    fn default() -> Self {
        Self {
            kind: OptimKind::Adam,
            lr: 1e-3,
            lr_end: 0.0,
            schedule: Schedule::Cosine,
            warmup: 0,
            decay: 0.1,
            decay_every: 0,
            betas: (0.9, 0.99),
            epsilon: 1e-5,
            weight_decay: 0.0,
            momentum: 0.9,
            clip_norm: 1.0,
            accumulate: 1,
            aux: None,
        }
    }
}

impl Optim {
    /// Learning rate at step `within` of a stage of `steps`.
    ///
    /// A pure function of the step, so that a resumed run needs no schedule state.
    pub fn learning_rate(&self, within: u64, steps: u64) -> f64 {
        if within < self.warmup {
            return self.lr * (within + 1) as f64 / self.warmup as f64;
        }
        let after = within - self.warmup;
        let length = steps.saturating_sub(self.warmup).max(1);
        let progress = (after as f64 / length as f64).min(1.0);
        match self.schedule {
            Schedule::Cosine => {
                self.lr_end
                    + (self.lr - self.lr_end)
                        * 0.5
                        * (1.0 + (std::f64::consts::PI * progress).cos())
            }
            Schedule::Linear => self.lr + (self.lr_end - self.lr) * progress,
            Schedule::Exponential => self.lr * (self.lr_end / self.lr).powf(progress),
            Schedule::Step => {
                let times = after.checked_div(self.decay_every).unwrap_or(0);
                self.lr * self.decay.powf(times as f64)
            }
            Schedule::Constant => self.lr,
        }
    }

    /// Optimizer of the auxiliary group: this one with its own entries over it, at a constant rate.
    pub fn auxiliary(&self) -> Self {
        let optim = Self {
            schedule: Schedule::Constant,
            aux: None,
            ..self.clone()
        };
        match &self.aux {
            Some(aux) => optim.with(aux),
            None => optim,
        }
    }

    /// This one with the entries of another group over it.
    #[must_use]
    pub fn with(mut self, own: &Auxiliary) -> Self {
        self.lr = own.lr;
        self.kind = own.kind.unwrap_or(self.kind);
        self.betas = own.betas.unwrap_or(self.betas);
        self.clip_norm = own.clip_norm.unwrap_or(self.clip_norm);
        self
    }

    /// Checks every entry; `place` is said in messages.
    ///
    /// # Errors
    /// [`TrainError::Recipe`].
    pub(crate) fn check(&self, place: &str, steps: u64) -> Result<(), TrainError> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let fail = |key: &str, value: &dyn std::fmt::Display, range: &str| {
            Err(invalid(&format!("{place}{key}"), value, range))
        };
        if !positive(self.lr) {
            return fail("lr", &self.lr, "a positive number");
        }
        if !(self.lr_end >= 0.0 && self.lr_end.is_finite()) {
            return fail("lr_end", &self.lr_end, "0 or more");
        }
        if self.schedule == Schedule::Exponential && self.lr_end == 0.0 {
            return fail(
                "lr_end",
                &0.0,
                "a positive number with schedule exponential",
            );
        }
        if self.schedule == Schedule::Step && (self.decay_every == 0 || !positive(self.decay)) {
            return fail(
                "decay_every",
                &self.decay_every,
                "at least 1 with schedule step, and a positive decay",
            );
        }
        if self.warmup > steps {
            return fail(
                "warmup",
                &self.warmup,
                &format!("at most the stage's {steps} steps"),
            );
        }
        let (one, two) = self.betas;
        if ![one, two, self.momentum]
            .iter()
            .all(|b| (0.0..1.0).contains(b))
        {
            return fail(
                "betas",
                &format!("[{one}, {two}] and momentum {}", self.momentum),
                "0 <= x < 1",
            );
        }
        if !positive(f64::from(self.epsilon)) {
            return fail("epsilon", &self.epsilon, "a positive number");
        }
        for (key, value) in [
            ("weight_decay", self.weight_decay),
            ("clip_norm", self.clip_norm),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return fail(key, &value, "0 or more");
            }
        }
        if !(1..=4096).contains(&self.accumulate) {
            return fail("accumulate", &self.accumulate, "1..=4096");
        }
        if let Some(aux) = &self.aux {
            if aux.clip_norm.is_some_and(|c| !(c >= 0.0 && c.is_finite())) {
                return fail("aux.clip_norm", &f32::NAN, "0 or more");
            }
            self.auxiliary().check(&format!("{place}aux."), steps)?;
        }
        Ok(())
    }
}

/// Averaging of weights over steps; the average is what is validated and exported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ema {
    /// Decay a step; 0 exports the weights themselves.
    pub decay: f32,
}

impl Default for Ema {
    fn default() -> Self {
        Self { decay: 0.998 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::lr_scheduler::LrScheduler;
    use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
    use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig;
    use burn::lr_scheduler::linear::LinearLrSchedulerConfig;

    fn optim(schedule: Schedule) -> Optim {
        Optim {
            lr: 0.8,
            lr_end: 0.05,
            schedule,
            ..Optim::default()
        }
    }

    /// Burn's schedulers carry state from step to step; ours give the same numbers without.
    #[test]
    fn schedules_are_those_of_burn() {
        const STEPS: usize = 40;
        let close = |ours: &Optim, mut burn: Box<dyn FnMut() -> f64>| {
            for step in 0..STEPS as u64 {
                let (a, b) = (ours.learning_rate(step, STEPS as u64), burn());
                assert!(
                    (a - b).abs() < 1e-9,
                    "{:?} at {step}: {a} {b}",
                    ours.schedule
                );
            }
        };
        let mut cosine = CosineAnnealingLrSchedulerConfig::new(0.8, STEPS)
            .with_min_lr(0.05)
            .init()
            .unwrap();
        close(&optim(Schedule::Cosine), Box::new(move || cosine.step()));
        let mut linear = LinearLrSchedulerConfig::new(0.8, 0.05, STEPS)
            .init()
            .unwrap();
        close(&optim(Schedule::Linear), Box::new(move || linear.step()));
        let gamma = (0.05f64 / 0.8).powf(1.0 / STEPS as f64);
        let mut exponential = ExponentialLrSchedulerConfig::new(0.8, gamma)
            .init()
            .unwrap();
        close(
            &optim(Schedule::Exponential),
            Box::new(move || exponential.step()),
        );
    }

    #[test]
    fn warm_up_and_steps() {
        let step = Optim {
            warmup: 4,
            decay: 0.5,
            decay_every: 3,
            ..optim(Schedule::Step)
        };
        let course: Vec<f64> = (0..11).map(|s| step.learning_rate(s, 11)).collect();
        let expected = [0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2];
        for (a, b) in course.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{course:?}");
        }
    }
}
