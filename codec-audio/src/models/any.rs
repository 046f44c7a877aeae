//! A model of any family: the one place that knows them all.

use burn_flex::{Flex, FlexDevice};
use bytes::Bytes;
use codec_core::backend::CodecBackend;
use codec_core::container::Profile;
use codec_core::weights::{HostTensor, Tensors, WeightsFile};
use codec_core::{Digest, Error};

use super::family::{AudioFamily, Family, Imported, Model};
use super::{dac, encodec, quantizers, srvq, walloc1d, wavtokenizer};
use crate::coder::AudioCoder;

/// Generates [`AudioModel`] over the families.
macro_rules! families {
    ($($variant:ident($family:ty)),+ $(,)?) => {
        /// A model with its weights, free of any backend.
        #[derive(Debug, Clone)]
        pub enum AudioModel {
            $(
                #[doc = concat!("A model of [`", stringify!($family), "`].")]
                $variant(Box<Model<$family>>),
            )+
        }

        /// Names of the families whose published checkpoints can be imported.
        pub const IMPORTED_FAMILIES: &[&str] = &[$(<$family>::NAME),+];

        impl AudioModel {
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
                $(if family == <$family>::NAME {
                    let (file, digest) = WeightsFile::with_digest(bytes)?;
                    return Ok(Self::$variant(Box::new(Model::new(file, digest)?)));
                })+
                Err(Error::unsupported(format!("weights of family '{family}'")))
            }

            /// Name, as in files.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant(model) => &model.name,)+
                }
            }

            /// Digest of the weights file.
            pub fn digest(&self) -> Digest {
                match self {
                    $(Self::$variant(model) => model.digest,)+
                }
            }

            /// What decoding may rely on.
            pub fn profile(&self) -> Profile {
                match self {
                    $(Self::$variant(_) => <$family>::PROFILE,)+
                }
            }

            /// The model on a device, ready to code sound.
            ///
            /// # Errors
            /// [`Error::Malformed`] for incomplete weights, [`Error::Unsupported`] for a quantizer alone.
            pub fn coder<B: CodecBackend>(
                &self,
                device: &B::Device,
            ) -> Result<Box<dyn AudioCoder>, Error> {
                match self {
                    $(Self::$variant(model) => <$family>::coder::<B>(model, device),)+
                }
            }

            /// Builds the networks on the CPU, and so makes sure that the weights are whole.
            ///
            /// # Errors
            /// [`Error::Malformed`] for incomplete weights.
            pub fn check(&self) -> Result<(), Error> {
                match self {
                    $(Self::$variant(model) => model.network::<Flex>(&FlexDevice).map(|_| ()),)+
                }
            }

            /// Rows of the model's codebook as they are searched, `[codes, width]`, if it has a single one.
            ///
            /// # Errors
            /// [`Error::Malformed`] for incomplete weights.
            pub fn codebook(&self) -> Result<Option<HostTensor>, Error> {
                match self {
                    $(Self::$variant(model) => <$family>::codebook(model),)+
                }
            }

            /// Every intermediate of one pass over the inputs of a parity fixture, under its names.
            ///
            /// # Errors
            /// [`Error::Malformed`] for inputs that do not fit.
            pub fn trace<B: CodecBackend>(
                &self,
                inputs: &Tensors,
                device: &B::Device,
            ) -> Result<Tensors, Error> {
                match self {
                    $(Self::$variant(model) => <$family>::trace::<B>(model, inputs, device),)+
                }
            }

            /// Name of the family whose published models have tensors of these names.
            pub fn recognize(tensors: &Tensors) -> Option<&'static str> {
                $(if recognizes::<$family>(tensors) {
                    return Some(<$family>::NAME);
                })+
                None
            }

            /// Makes a weights file of a published checkpoint of a family; `config` is the configuration that came with it.
            ///
            /// # Errors
            /// [`Error::BadParameter`] for a family that is not known, and those of [`Model::import`].
            pub fn import(
                family: &str,
                tensors: Tensors,
                config: Option<&serde_json::Value>,
                name: &str,
                source: &str,
            ) -> Result<Imported, Error> {
                $(if family == <$family>::NAME {
                    return Model::<$family>::import(tensors, config, name, source);
                })+
                Err(Error::bad_parameter(format!(
                    "unknown family '{family}' (known: {})",
                    IMPORTED_FAMILIES.join(", ")
                )))
            }
        }
    };
}

families! {
    Encodec(encodec::Encodec),
    Dac(dac::Dac),
    Wavtokenizer(wavtokenizer::Wavtokenizer),
    Walloc1d(walloc1d::Walloc1d),
    Srvq(srvq::Srvq),
    HificodecQuantizer(quantizers::HificodecQuantizer),
    LanguagecodecQuantizer(quantizers::LanguagecodecQuantizer),
}

fn recognizes<F: Family>(tensors: &Tensors) -> bool {
    F::normalize(tensors.clone()).is_ok_and(|tensors| F::recognize(&tensors))
}
