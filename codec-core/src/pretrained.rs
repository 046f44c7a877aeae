//! Weights that are built into a library, by model name.

/// One built-in model.
#[derive(Debug, Clone, Copy)]
pub struct Pretrained {
    /// Name, as in files. Once released, it keeps its weights: files refer to them.
    pub name: &'static str,
    /// Weights file.
    pub weights: &'static [u8],
}

/// Weights file of a model among `models`.
pub fn get(models: &[Pretrained], name: &str) -> Option<&'static [u8]> {
    let found = models.iter().find(|model| model.name == name);
    found.map(|model| model.weights)
}
