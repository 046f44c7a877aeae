//! Runs a recipe on the CPU: `train_cpu RECIPE OUT [key=value ...]`. The command line's `codec train` does the same.

use std::sync::atomic::AtomicBool;

use burn::backend::Autodiff;
use burn_flex::Flex;
use codec_train::{Event, Observer, Recipe, RunOptions, train};

struct Print;

impl Observer for Print {
    fn event(&mut self, event: &Event) {
        println!("{event:?}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (recipe, out) = arguments.next().zip(arguments.next()).ok_or("usage: train_cpu RECIPE OUT [key=value ...]")?;
    let mut recipe = Recipe::parse(&std::fs::read_to_string(recipe)?)?;
    for assignment in arguments {
        recipe = recipe.set(&assignment)?;
    }
    let options = RunOptions { out: out.into(), resume: true, init: std::env::var_os("INIT").map(Into::into), max_steps: std::env::var("MAX_STEPS").ok().and_then(|v| v.parse().ok()), prefetch: 4 };
    let stop = AtomicBool::new(false);
    train::<Autodiff<Flex>>(&recipe, &options, &Default::default(), &stop, &mut Print)?;
    Ok(())
}
