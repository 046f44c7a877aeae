//! Which class is each pixel?

use super::network::{Network, greatest};
use super::onnx::Tensor;
use super::{TaskError, TaskOptions, higher};
use crate::EvalError;
use crate::metrics::{Measure, Metric, Outcome, Reference};
use image::{DynamicImage, ImageReader, RgbImage};
use std::path::{Path, PathBuf};

const MIOU: &str = "task.miou";
const ORIGINAL: &str = "task.miou.original";
const PIXELS: &str = "task.pixel-agreement";
/// Most classes.
const LIMIT: usize = 4096;
/// Pixels of label maps that count for nothing.
const IGNORED: u16 = 255;

/// Classes of pixels.
struct Map {
    width: usize,
    height: usize,
    classes: Vec<u16>,
}

impl Map {
    /// Reads scores `[1, classes, h, w]`, or whole numbers `[1, h, w]` or `[1, 1, h, w]`.
    fn of(output: &Tensor) -> Result<Self, TaskError> {
        let expected = "[1, classes, h, w] or whole numbers [1, h, w]";
        let (classes, height, width) = match output.shape.as_slice() {
            &[1, classes, h, w] => (classes, h, w),
            &[1, h, w] | &[h, w] => (1, h, w),
            _ => return Err(output.unexpected(expected)),
        };
        let count = height * width;
        if count == 0 || classes == 0 {
            return Err(output.unexpected(expected));
        }
        if classes > LIMIT {
            return Err(TaskError::TooLarge {
                what: "number of classes",
                actual: classes,
                limit: LIMIT,
            });
        }
        let class = |i: usize| match classes {
            1 => {
                let value = output.data.get(i).copied().unwrap_or(-1.0);
                let fits = value >= 0.0 && value < LIMIT as f32 && value.fract() == 0.0;
                fits.then_some(value as u16)
                    .ok_or_else(|| output.unexpected(format!("{expected} below {LIMIT}")))
            }
            _ => {
                let scores = output.data.iter().skip(i).step_by(count).copied();
                Ok(greatest(scores) as u16)
            }
        };
        Ok(Self {
            width,
            height,
            classes: (0..count).map(class).collect::<Result<_, _>>()?,
        })
    }

    /// Reads a picture of class numbers.
    fn read(path: &Path) -> Result<Self, TaskError> {
        let reader = ImageReader::open(path).map_err(TaskError::access(path))?;
        let picture = reader
            .with_guessed_format()
            .map_err(TaskError::access(path))?
            .decode()
            .map_err(|error| TaskError::malformed(path, error))?;
        let DynamicImage::ImageLuma8(grey) = picture else {
            let reason = "a label map has one channel of 8 bits";
            return Err(TaskError::malformed(path, reason));
        };
        Ok(Self {
            width: grey.width() as usize,
            height: grey.height() as usize,
            classes: grey.into_raw().into_iter().map(u16::from).collect(),
        })
    }

    /// The pixel at a place of a map of another size.
    fn at(&self, x: usize, y: usize, width: usize, height: usize) -> u16 {
        let (x, y) = (x * self.width / width, y * self.height / height);
        let class = self.classes.get(y * self.width + x);
        class.copied().unwrap_or(IGNORED)
    }

    /// Intersection and union for each class, and pixels that agree.
    fn compare(&self, truth: &Self, ignored: Option<u16>) -> (Vec<[f64; 2]>, [f64; 2]) {
        let most = self.classes.iter().chain(&truth.classes).max();
        let mut counts = vec![[0.0; 2]; most.map_or(0, |most| usize::from(*most)) + 1];
        let mut pixels = [0.0; 2];
        for y in 0..truth.height {
            for x in 0..truth.width {
                let wanted = truth.at(x, y, truth.width, truth.height);
                if Some(wanted) == ignored {
                    continue;
                }
                let found = self.at(x, y, truth.width, truth.height);
                pixels[1] += 1.0;
                if let Some(count) = counts.get_mut(usize::from(wanted)) {
                    count[1] += 1.0;
                    if found == wanted {
                        count[0] += 1.0;
                        pixels[0] += 1.0;
                        continue;
                    }
                }
                if let Some(count) = counts.get_mut(usize::from(found)) {
                    count[1] += 1.0;
                }
            }
        }
        (counts, pixels)
    }
}

/// Overlap of the classes of pixels with those of the original, or of label maps.
pub(super) struct Segmentation {
    network: Network,
    folder: Option<PathBuf>,
}

impl Segmentation {
    pub(super) fn open(options: &TaskOptions) -> Result<Self, TaskError> {
        let folder = options.labels.clone();
        if let Some(folder) = folder.as_deref().filter(|folder| !folder.is_dir()) {
            let reason = "label maps are files of a folder";
            return Err(TaskError::malformed(folder, reason));
        }
        Ok(Self {
            network: Network::open("segmentation", options)?,
            folder,
        })
    }

    fn map(&self, picture: &RgbImage) -> Result<Map, TaskError> {
        let mut output = self.network.one(picture)?.pop().unwrap_or_default();
        let (last, scores) = (self.network.config.picture.channels_last, !output.whole);
        if let (Some(true), true, &[1, h, w, classes]) = (last, scores, output.shape.as_slice()) {
            let data = (0..classes).flat_map(|c| output.data.iter().skip(c).step_by(classes));
            output.data = data.copied().collect();
            output.shape = vec![1, classes, h, w];
        }
        Map::of(&output)
    }

    /// The label map `a/b.png` of `a/b.webp`.
    fn label(&self, file: &str) -> Result<Option<Map>, TaskError> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let inside = Path::new(file)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        let path = folder.join(Path::new(file).with_extension("png"));
        if !inside || !path.is_file() {
            return Err(TaskError::NoLabel {
                file: file.to_owned(),
            });
        }
        Map::read(&path).map(Some)
    }
}

struct Seen<'a> {
    task: &'a Segmentation,
    map: Map,
    label: Option<Map>,
}

impl Measure<RgbImage> for Segmentation {
    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = vec![
            higher(MIOU, "mean IoU of classes"),
            higher(PIXELS, "pixels as in the original"),
        ];
        if self.folder.is_some() {
            metrics.push(higher(ORIGINAL, "mean IoU of originals"));
        }
        metrics
    }

    fn reference<'a>(
        &'a self,
        file: &str,
        original: &'a RgbImage,
    ) -> Result<Box<dyn Reference<RgbImage> + 'a>, EvalError> {
        Ok(Box::new(Seen {
            task: self,
            label: self.label(file)?,
            map: self.map(original)?,
        }))
    }
}

impl Reference<RgbImage> for Seen<'_> {
    fn measure(&self, decoded: &RgbImage) -> Result<Outcome, EvalError> {
        let map = self.task.map(decoded)?;
        let (mut counts, pixels) = map.compare(&self.map, None);
        let mut outcome = Outcome::default();
        if let Some(label) = &self.label {
            counts = map.compare(label, Some(IGNORED)).0;
            let original = self.map.compare(label, Some(IGNORED)).0;
            outcome.counts.insert(ORIGINAL.into(), original);
        }
        outcome.counts.insert(MIOU.into(), counts);
        outcome.counts.insert(PIXELS.into(), vec![pixels]);
        Ok(outcome)
    }
}
