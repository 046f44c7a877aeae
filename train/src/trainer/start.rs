//! The beginning of a run: new, from given parameters, or from a checkpoint.

use std::fs;
use std::sync::{Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::backend::CodecBackend;

use super::Trainer;
use crate::TrainError;
use crate::checkpoint::{self, State};
use crate::data::Source;
use crate::events::{Event, MetricsFile, Observer};
use crate::gradients::Exchange;
use crate::history::METRICS;
use crate::init;
use crate::networks::Networks;
use crate::objective::Objective;
use crate::options::{Resume, RunOptions};
use crate::parameters::Parameters;
use crate::pattern;
use crate::recipe::{Optim, Recipe};
use crate::recorder::Recorder;
use crate::storage::{Storage, replace};
use crate::task::Task;

/// Members on one kind of device share its random generator: one of them draws its parameters at a time.
static DRAWING: Mutex<()> = Mutex::new(());

impl<'a, B, T> Trainer<'a, B, T>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    pub(super) fn start<E: Exchange<B>>(
        task: T,
        recipe: &'a Recipe,
        options: &'a RunOptions,
        storage: &'a dyn Storage,
        device: &'a <B as BackendTypes>::Device,
        observer: &'a mut dyn Observer,
        exchange: &E,
    ) -> Result<Self, TrainError> {
        let leads = exchange.rank() == 0;
        let out = &options.out;
        let resolved = recipe.to_toml()?;
        if options.resume == Resume::No && !checkpoint::list(out).is_empty() {
            return Err(TrainError::Exists(out.clone()));
        }
        fs::create_dir_all(out).map_err(TrainError::io(out))?;
        let source = Source::open(&recipe.data, task.domain())?;
        let objective = Objective::new(&recipe.loss, task.domain(), device)?;
        if let Some(term) = recipe.adversary.iter().find(|term| term.adaptive)
            && !objective.sees_output()
        {
            return Err(TrainError::Recipe(format!(
                "adversary {}: adaptive = true weighs it against losses of the output, but [[loss]] has none",
                term.name()
            )));
        }

        let mut warnings = Vec::new();
        let restored = restore::<B, T>(&task, recipe, options, device, leads, &mut warnings)?;
        let (mut networks, step, batches, best) = match restored {
            Some((networks, state)) => {
                if leads {
                    checkpoint::set_aside_after(out, state.step)?;
                }
                if state.recipe != resolved {
                    warnings.push("the recipe differs from that of the checkpoint".into());
                }
                (
                    networks,
                    state.step,
                    state.batches.unwrap_or(state.step),
                    state.best,
                )
            }
            None => {
                let optim = optim_at(recipe, 0)?;
                let drawing = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
                B::seed(device, recipe.seed);
                let mut networks = Networks::new(&task, recipe, &optim, device)?;
                drop(drawing);
                if let Some(path) = &options.init {
                    let source = init::read::<B, T>(&task, path)?;
                    let (started, new) = networks.start_from(&task, path, &source)?;
                    networks = started;
                    if !new.is_empty() {
                        warnings.push(format!("tensors that start afresh: {}", new.join(", ")));
                    }
                }
                (networks, 0, 0, None)
            }
        };
        check_freeze(recipe, &Parameters::of(&networks.average))?;
        networks.hold(|name| recipe.stages.iter().all(|s| pattern::any(&s.freeze, name)));
        let (log, recorder) = if leads {
            let path = out.join("recipe.toml");
            replace(storage, &path, resolved.as_bytes())?;
            let log = MetricsFile::resume(&out.join(METRICS), step)?;
            (Some(log), Some(Recorder::open(out, step)?))
        } else {
            (None, None)
        };
        let mut trainer = Self {
            task,
            recipe,
            resolved,
            options,
            storage,
            device,
            observer,
            rank: exchange.rank(),
            log,
            recorder,
            source,
            objective,
            networks,
            step,
            batches,
            best,
            newest: None,
        };
        for message in warnings {
            trainer.report(Event::Warning { message })?;
        }
        trainer.report(Event::Start {
            step,
            total: recipe.total_steps(),
            files: trainer.source.files(),
            skipped: trainer.source.skipped(),
            parameters: trainer.networks.model.num_params(),
        })?;
        Ok(trainer)
    }
}

/// Optimizer of the stage of a step.
fn optim_at(recipe: &Recipe, step: u64) -> Result<Optim, TrainError> {
    let index = recipe.stage_at(step).map(|(index, _)| index);
    let stage = index.map_or(recipe.stages.last(), |index| recipe.stages.get(index));
    match stage {
        Some(stage) => recipe.optim_in(stage),
        None => Err(TrainError::Recipe("no stages".into())),
    }
}

/// Every pattern must cover something, and something must be left to learn.
fn check_freeze(recipe: &Recipe, parameters: &Parameters) -> Result<(), TrainError> {
    let names = || {
        parameters
            .tensors()
            .iter()
            .map(|tensor| tensor.name.as_str())
    };
    for stage in &recipe.stages {
        let fail = |what: String| TrainError::Recipe(format!("stage {}: {what}", stage.name));
        for pattern in &stage.freeze {
            if !names().any(|name| pattern::covers(pattern, name)) {
                return Err(fail(format!("freeze = \"{pattern}\" covers no parameter")));
            }
        }
        if names().all(|name| pattern::any(&stage.freeze, name)) {
            return Err(fail("every parameter is frozen".into()));
        }
    }
    Ok(())
}

/// Networks as a checkpoint left them, and its counters.
type Restored<B, T> = (Networks<B, T>, State);

/// The newest sound checkpoint, if the run is to go on somewhere. Damaged ones of the run itself are set aside.
fn restore<B, T>(
    task: &T,
    recipe: &Recipe,
    options: &RunOptions,
    device: &<B as BackendTypes>::Device,
    leads: bool,
    warnings: &mut Vec<String>,
) -> Result<Option<Restored<B, T>>, TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    let candidates = match &options.resume {
        Resume::No => return Ok(None),
        Resume::Auto => checkpoint::list(&options.out),
        Resume::From(path) => {
            let listed = checkpoint::list(path);
            if listed.is_empty() {
                vec![path.clone()]
            } else {
                listed
            }
        }
    };
    let mut damage = None;
    for path in candidates.iter().rev() {
        let state = match checkpoint::verify(path) {
            Ok(state) => state,
            Err(error) => {
                warnings.push(format!("{error}; going back to the checkpoint before"));
                if leads && path.starts_with(&options.out) {
                    checkpoint::set_aside(path, "damaged")?;
                }
                damage = Some(error);
                continue;
            }
        };
        // The optimizer whose state lies there is that of the last step done.
        let optim = optim_at(recipe, state.step.saturating_sub(1))?;
        B::seed(device, recipe.seed);
        let networks = Networks::new(task, recipe, &optim, device)?;
        let (networks, afresh) = networks.load(path, device)?;
        if !afresh.is_empty() {
            let names = afresh.join(", ");
            warnings.push(format!("discriminators that start afresh: {names}"));
        }
        return Ok(Some((networks, state)));
    }
    damage.map_or(Ok(None), Err)
}
