//! What a published model family provides, of pictures or of sound, so that import, export and parity tests are written once.

use std::sync::Arc;

use burn_flex::Flex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::CodecBackend;
use crate::container::Profile;
use crate::weights::{HostTensor, Loader, Report, Tensors, WeightsFile};
use crate::{Digest, Error};

/// A family of published models.
pub trait Family: Sized + 'static {
    /// Name in weights files and on the command line.
    const NAME: &'static str;
    /// What decoding may rely on: portable where no float selects a probability table.
    const PROFILE: Profile = Profile::Float;
    /// Hyperparameters, under the names of the authors' configuration files; unknown fields are ignored.
    type Config: Serialize + DeserializeOwned + Clone + std::fmt::Debug + Send + Sync;
    /// The networks on a device.
    type Network<B: CodecBackend>: Send;

    /// Whether a checkpoint's names are those of this family (after [`Family::normalize`]).
    fn recognize(tensors: &Tensors) -> bool;

    /// Brings the names of every published version to one, and drops what only training needs.
    ///
    /// # Errors
    /// [`Error::Malformed`] if names collide.
    fn normalize(tensors: Tensors) -> Result<Tensors, Error>;

    /// Hyperparameters from the shapes of the tensors and, for what shapes do not tell, the configuration that came with
    /// the checkpoint. What is given must agree with the shapes.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::BadParameter`] if there is no such model; widths are limited before anything is
    /// allocated.
    fn configure(
        tensors: &Tensors,
        given: Option<&serde_json::Value>,
    ) -> Result<Self::Config, Error>;

    /// Builds the networks. Faults of single tensors are left to the loader's account.
    ///
    /// # Errors
    /// [`Error::Malformed`] for values that no network can have (a table that is not a distribution).
    fn build<B: CodecBackend>(
        config: &Self::Config,
        loader: &Loader<'_, B>,
    ) -> Result<Self::Network<B>, Error>;

    /// Rows of the model's codebook as they are searched, `[codes, width]`, if it has one.
    ///
    /// # Errors
    /// [`Error::Malformed`] for incomplete weights.
    fn codebook(model: &Model<Self>) -> Result<Option<HostTensor>, Error> {
        let _ = model;
        Ok(None)
    }

    /// All tensors that a parity fixture may ask for, from the inputs that it holds, under its names.
    ///
    /// # Errors
    /// [`Error::Malformed`] for inputs that do not fit.
    fn trace<B: CodecBackend>(
        model: &Model<Self>,
        inputs: &Tensors,
        device: &B::Device,
    ) -> Result<Tensors, Error>;
}

/// A model of one family: descriptor and tensors, without a backend.
#[derive(Debug, Clone)]
pub struct Model<F: Family> {
    /// Name, as in files.
    pub name: String,
    /// Digest of the weights file.
    pub digest: Digest,
    /// Hyperparameters.
    pub config: F::Config,
    /// Tensors under their authors' names.
    pub tensors: Arc<Tensors>,
}

/// A checkpoint in the form of our weights files, and what became of its tensors.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The weights file; complete if the report is.
    pub file: WeightsFile,
    /// The account.
    pub report: Report,
}

impl<F: Family> Model<F> {
    /// The model of a weights file.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another family or an invalid configuration.
    pub fn new(file: WeightsFile, digest: Digest) -> Result<Self, Error> {
        if file.family != F::NAME {
            return Err(Error::malformed(format!(
                "weights of family '{}' where '{}' is expected",
                file.family,
                F::NAME
            )));
        }
        let config = F::configure(&file.tensors, Some(&file.config))?;
        Ok(Self {
            name: file.name,
            digest,
            config,
            tensors: Arc::new(file.tensors),
        })
    }

    /// The networks on a device.
    ///
    /// # Errors
    /// [`Error::Malformed`] for incomplete weights.
    pub fn network<B: CodecBackend>(&self, device: &B::Device) -> Result<F::Network<B>, Error> {
        let loader = Loader::new(&self.tensors, device);
        let network = F::build(&self.config, &loader)?;
        loader.finish()?;
        Ok(network)
    }

    /// The networks on a device, for gradients that go through them and not into them.
    ///
    /// # Errors
    /// [`Error::Malformed`] for incomplete weights.
    pub fn frozen_network<B: CodecBackend>(
        &self,
        device: &B::Device,
    ) -> Result<F::Network<B>, Error> {
        let loader = Loader::new(&self.tensors, device).frozen();
        let network = F::build(&self.config, &loader)?;
        loader.finish()?;
        Ok(network)
    }

    /// Makes a weights file of a checkpoint's tensors. Nothing is refused here but what makes no model at all: the report
    /// says what is missing.
    ///
    /// # Errors
    /// Those of [`Family::configure`] and [`Family::build`].
    pub fn import(
        tensors: Tensors,
        given: Option<&serde_json::Value>,
        name: &str,
        source: &str,
    ) -> Result<Imported, Error> {
        let tensors = F::normalize(tensors)?;
        let config = F::configure(&tensors, given)?;
        let device = Default::default();
        let loader = Loader::<Flex>::new(&tensors, &device);
        F::build(&config, &loader)?;
        let report = loader.report();
        let config = serde_json::to_value(&config)
            .map_err(|e| Error::bad_parameter(format!("configuration: {e}")))?;
        let mut kept = tensors;
        kept.retain(|name| report.mapped.contains(name));
        Ok(Imported {
            file: WeightsFile {
                family: F::NAME.to_owned(),
                name: name.to_owned(),
                config,
                source: source.to_owned(),
                tensors: kept,
            },
            report,
        })
    }
}
