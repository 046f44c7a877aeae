//! A model of any family: the one place that knows them all.

use burn::backend::flex::FlexDevice;
use burn::backend::{Autodiff, Flex};
use burn::tensor::backend::BackendTypes;
use bytes::Bytes;
use codec_core::backend::CodecBackend;
use codec_core::container::Profile;
use codec_core::weights::{HostTensor, Tensors, WeightsFile};
use codec_core::{Digest, Error};

use super::family::{Family, ImageFamily, Imported, Model};
use super::{hyperprior, mlicpp, vqgan, walloc, wpmr};
use crate::coder::ImageCoder;

/// Generates [`ImageModel`] over the families that are imported; `wpmr`, our own, has a weights file of its own.
macro_rules! families {
    ($($variant:ident($family:ty)),+ $(,)?) => {
        /// A model with its weights, free of any backend.
        #[derive(Debug, Clone)]
        pub enum ImageModel {
            /// The toolkit's own portable family.
            Wpmr(Box<wpmr::Weights>),
            $(
                #[doc = concat!("A model of [`", stringify!($family), "`].")]
                $variant(Box<Model<$family>>),
            )+
        }

        /// Names of the families whose published checkpoints can be imported.
        pub const IMPORTED_FAMILIES: &[&str] = &[$(<$family>::NAME),+];

        impl ImageModel {
            /// The model of a weights file of any family.
            ///
            /// # Errors
            /// [`Error::Malformed`] for anything else, [`Error::Unsupported`] for a family that this build does not have.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
                Self::from_shared(&Bytes::copy_from_slice(bytes))
            }

            /// The same, with tensors that share the file's memory.
            ///
            /// # Errors
            /// As [`Self::from_bytes`].
            pub fn from_shared(bytes: &Bytes) -> Result<Self, Error> {
                let family = WeightsFile::family(bytes)?;
                if family == "wpmr" {
                    return Ok(Self::Wpmr(Box::new(wpmr::Weights::from_bytes(bytes)?)));
                }
                $(if family == <$family>::NAME {
                    let (file, digest) = WeightsFile::with_digest(bytes)?;
                    return Ok(Self::$variant(Box::new(Model::new(file, digest)?)));
                })+
                Err(Error::unsupported(format!("weights of family '{family}'")))
            }

            /// Name, as in files.
            pub fn name(&self) -> &str {
                match self {
                    Self::Wpmr(weights) => weights.name(),
                    $(Self::$variant(model) => &model.name,)+
                }
            }

            /// Digest of the weights file.
            pub fn digest(&self) -> Digest {
                match self {
                    Self::Wpmr(weights) => weights.digest(),
                    $(Self::$variant(model) => model.digest,)+
                }
            }

            /// What decoding may rely on.
            pub fn profile(&self) -> Profile {
                match self {
                    Self::Wpmr(_) => Profile::Portable,
                    $(Self::$variant(_) => <$family>::PROFILE,)+
                }
            }

            /// The model on a device, ready to code tiles.
            ///
            /// # Errors
            /// [`Error::Malformed`] for incomplete weights.
            pub fn coder<B>(&self, device: &B::Device) -> Result<Box<dyn ImageCoder>, Error>
            where
                B: CodecBackend,
                Autodiff<B>: CodecBackend + BackendTypes<Device = <B as BackendTypes>::Device>,
            {
                match self {
                    Self::Wpmr(weights) => Ok(Box::new(wpmr::Coder::<B>::new(weights, device)?)),
                    $(Self::$variant(model) => <$family>::coder::<B>(model, device),)+
                }
            }

            /// Rows of the model's codebook as they are searched, `[codes, width]`, if it has one.
            ///
            /// # Errors
            /// [`Error::Malformed`] for incomplete weights.
            pub fn codebook(&self) -> Result<Option<HostTensor>, Error> {
                match self {
                    Self::Wpmr(_) => Ok(None),
                    $(Self::$variant(model) => <$family>::codebook(model),)+
                }
            }

            /// Every intermediate of one pass over the inputs of a parity fixture, under its names.
            ///
            /// # Errors
            /// [`Error::Malformed`] for inputs that do not fit, [`Error::Unsupported`] for families without published models.
            pub fn trace<B: CodecBackend>(
                &self,
                inputs: &Tensors,
                device: &B::Device,
            ) -> Result<Tensors, Error> {
                match self {
                    Self::Wpmr(_) => Err(Error::unsupported("fixtures of family wpmr")),
                    $(Self::$variant(model) => <$family>::trace::<B>(model, inputs, device),)+
                }
            }

            /// Builds the networks on the CPU, and so makes sure that the weights are whole.
            ///
            /// # Errors
            /// [`Error::Malformed`] for incomplete weights.
            pub fn check(&self) -> Result<(), Error> {
                match self {
                    Self::Wpmr(_) => self.coder::<Flex>(&FlexDevice).map(|_| ()),
                    $(Self::$variant(model) => model.network::<Flex>(&FlexDevice).map(|_| ()),)+
                }
            }

            /// Name of the family whose published models have tensors of these names.
            pub fn recognize(tensors: &Tensors) -> Option<&'static str> {
                $(if recognizes::<$family>(tensors) {
                    return Some(<$family>::NAME);
                })+
                None
            }

            /// Makes a weights file of a published checkpoint. The family is recognized by the names of the tensors unless it
            /// is given; `config` is the configuration that came with the checkpoint.
            ///
            /// # Errors
            /// [`Error::BadParameter`] for a family that is not known or not recognized, and those of [`Model::import`].
            pub fn import(
                family: Option<&str>,
                tensors: Tensors,
                config: Option<&serde_json::Value>,
                name: &str,
                source: &str,
            ) -> Result<Imported, Error> {
                $(if family.map_or_else(|| recognizes::<$family>(&tensors), |f| f == <$family>::NAME) {
                    return Model::<$family>::import(tensors, config, name, source);
                })+
                let known = IMPORTED_FAMILIES.join(", ");
                Err(Error::bad_parameter(match family {
                    Some(family) => format!("unknown family '{family}' (known: {known})"),
                    None => format!(
                        "the checkpoint's tensors are those of no family that is known ({known}); name one with --family"
                    ),
                }))
            }
        }
    };
}

families! {
    Hyperprior(hyperprior::Hyperprior),
    Mlicpp(mlicpp::Mlicpp),
    Vqgan(vqgan::Vqgan),
    VqganLc(vqgan::VqganLc),
    SimVq(vqgan::SimVq),
    Walloc(walloc::Walloc),
}

fn recognizes<F: Family>(tensors: &Tensors) -> bool {
    F::normalize(tensors.clone()).is_ok_and(|tensors| F::recognize(&tensors))
}
