//! Pictures as models want them.

use super::TaskError;
use super::onnx::{Layout, Onnx, Tensor};
use image::RgbImage;
use image::imageops::{self, FilterType};
use serde::{Deserialize, Serialize};

/// Longest side that pictures are scaled to.
const MAX_SIDE: u32 = 16_384;

/// How pictures get the size that the model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// Rows and columns each on their own.
    #[default]
    Stretch,
    /// The shorter side to [`Preprocess::shorter`], or just enough to cover the size; then the centre.
    Crop,
    /// The shorter side to [`Preprocess::shorter`], or the lesser one of the size; the other side as it comes.
    Shorter,
}

/// Interpolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// Triangle, wider where pictures become smaller.
    #[default]
    Bilinear,
    /// Cubic, wider where pictures become smaller.
    Bicubic,
    /// The pixel next to it.
    Nearest,
}

/// Order of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// How pictures are prepared: scaled, then `(value - mean) / std` with values in `0..=range`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Preprocess {
    /// Rows and columns; those of the model where it has fixed ones, else those of the picture.
    pub size: Option<[u32; 2]>,
    /// How the size comes about.
    pub resize: Resize,
    /// Shorter side before the centre is cut out, or at all.
    pub shorter: Option<u32>,
    /// Interpolation.
    pub filter: Filter,
    /// Sides are rounded up to a multiple of this, by stretching, where the model takes any size.
    pub multiple: u32,
    /// What white is: 1 or 255.
    pub range: f32,
    /// Subtracted, for each colour in the order of `order`.
    pub mean: [f32; 3],
    /// Divided by, likewise.
    pub std: [f32; 3],
    /// Order of colours. A model with one channel gets grey (BT.601) with the first mean and std.
    pub order: Order,
    /// Whether channels come last. Seen from the model unless given.
    pub channels_last: Option<bool>,
    /// Pictures are cut into patches of `size` as they are; what does not hold a whole patch is left out.
    pub patches: Option<Patches>,
}

/// Where patches lie, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Patches {
    /// Pixels from the picture's border to the first patch.
    #[serde(default)]
    pub first: u32,
    /// Pixels from the border of a patch to that of the next.
    pub step: u32,
}

impl Default for Preprocess {
    fn default() -> Self {
        Self {
            size: None,
            resize: Resize::Stretch,
            shorter: None,
            filter: Filter::Bilinear,
            multiple: 1,
            range: 1.0,
            mean: [0.0; 3],
            std: [1.0; 3],
            order: Order::Rgb,
            channels_last: None,
            patches: None,
        }
    }
}

impl Preprocess {
    pub(super) fn check(&self) -> Result<(), TaskError> {
        let bad = |name, value: String, expected| {
            Err(TaskError::BadSetting {
                name,
                value,
                expected,
            })
        };
        let side = |side: &u32| (1..=MAX_SIDE).contains(side);
        if !self.size.iter().flatten().all(side) {
            return bad(
                "picture.size",
                format!("{:?}", self.size),
                "sides in 1..=16384",
            );
        }
        if !self.shorter.iter().all(side) {
            return bad(
                "picture.shorter",
                format!("{:?}", self.shorter),
                "1..=16384",
            );
        }
        let fits = |patches: &Patches| side(&patches.step) && patches.first <= MAX_SIDE;
        if !self.patches.iter().all(fits) || self.patches.is_some() && self.size.is_none() {
            return bad(
                "picture.patches",
                format!("{:?}", self.patches),
                "a step in 1..=16384, a first place up to that, and a size",
            );
        }
        if !(1..=1024).contains(&self.multiple) {
            return bad("picture.multiple", self.multiple.to_string(), "1..=1024");
        }
        if !(self.range.is_finite() && self.range > 0.0) {
            return bad("picture.range", self.range.to_string(), "more than 0");
        }
        if !self.mean.iter().all(|mean| mean.is_finite()) {
            return bad("picture.mean", format!("{:?}", self.mean), "finite numbers");
        }
        if !self.std.iter().all(|std| std.is_finite() && *std != 0.0) {
            return bad("picture.std", format!("{:?}", self.std), "not 0");
        }
        Ok(())
    }

    /// The picture, or its patches, as inputs of the model.
    ///
    /// # Errors
    /// As [`Preprocess::tensor`]; a picture smaller than a patch.
    pub fn tensors(&self, picture: &RgbImage, model: &Onnx) -> Result<Vec<Tensor>, TaskError> {
        let (Some(Patches { first, step }), Some([height, width])) = (self.patches, self.size)
        else {
            return Ok(vec![self.tensor(picture, model)?]);
        };
        let corners = |whole: u32, part: u32| {
            (first..(whole + 1).saturating_sub(part)).step_by(step as usize)
        };
        let mut inputs = Vec::new();
        for y in corners(picture.height(), height) {
            for x in corners(picture.width(), width) {
                let patch = image::imageops::crop_imm(picture, x, y, width, height).to_image();
                inputs.push(self.tensor(&patch, model)?);
            }
        }
        if inputs.is_empty() {
            return Err(TaskError::BadSetting {
                name: "picture",
                value: format!("{}x{}", picture.width(), picture.height()),
                expected: "at least one patch",
            });
        }
        Ok(inputs)
    }

    /// The picture as an input of the model.
    ///
    /// # Errors
    /// An input that is no picture, or of another size than the one set.
    pub fn tensor(&self, picture: &RgbImage, model: &Onnx) -> Result<Tensor, TaskError> {
        let layout = match self.channels_last {
            Some(true) => Layout::Nhwc,
            Some(false) => Layout::Nchw,
            None => model.layout().ok_or_else(|| model.refuse("a picture"))?,
        };
        let (channels, rows, columns) = match (model.shape(), layout) {
            (None, _) => (None, None, None),
            (Some(&[_, c, h, w]), Layout::Nchw) | (Some(&[_, h, w, c]), Layout::Nhwc) => (c, h, w),
            (Some(_), _) => return Err(model.refuse("a picture")),
        };
        let channels = channels.unwrap_or(3);
        if !matches!(channels, 1 | 3) {
            return Err(model.refuse("a picture of 1 or 3 channels"));
        }
        let fixed = match (rows, columns) {
            (Some(rows), Some(columns)) => {
                let side = |side: usize| u32::try_from(side).ok().filter(|s| *s <= MAX_SIDE);
                let sides = side(rows).zip(side(columns)).filter(|(h, w)| h * w > 0);
                let (h, w) = sides.ok_or_else(|| model.refuse("a picture"))?;
                Some([h, w])
            }
            _ => None,
        };
        let scaled = self.scale(picture, self.size.or(fixed))?;
        let (width, height) = scaled.dimensions();
        let count = width as usize * height as usize;
        let mut data = vec![0.0; count * channels];
        for (i, pixel) in scaled.pixels().enumerate() {
            let [r, g, b] = pixel.0.map(f32::from);
            let values = match (channels, self.order) {
                (1, _) => [0.299 * r + 0.587 * g + 0.114 * b, 0.0, 0.0],
                (_, Order::Rgb) => [r, g, b],
                (_, Order::Bgr) => [b, g, r],
            };
            for (c, value) in values.into_iter().enumerate().take(channels) {
                let at = match layout {
                    Layout::Nchw => c * count + i,
                    Layout::Nhwc => i * channels + c,
                };
                data[at] = (value / 255.0 * self.range - self.mean[c]) / self.std[c];
            }
        }
        let (height, width) = (height as usize, width as usize);
        let shape = match layout {
            Layout::Nchw => vec![1, channels, height, width],
            Layout::Nhwc => vec![1, height, width, channels],
        };
        Ok(Tensor {
            shape,
            data,
            ..Tensor::default()
        })
    }

    /// The picture in the size that is wanted.
    fn scale(&self, picture: &RgbImage, size: Option<[u32; 2]>) -> Result<RgbImage, TaskError> {
        let (width, height) = picture.dimensions();
        if width == 0 || height == 0 {
            return Err(TaskError::BadSetting {
                name: "picture",
                value: format!("{width}x{height}"),
                expected: "at least one pixel",
            });
        }
        let by = |factor: f64| {
            let side = |side: u32| (f64::from(side) * factor).round().max(1.0) as u32;
            (side(width), side(height))
        };
        let least = f64::from(width.min(height));
        let shorter = self.shorter.map(f64::from);
        let (columns, rows) = match (self.resize, size) {
            (Resize::Stretch, Some([h, w])) => (w, h),
            (Resize::Stretch, None) => (width, height),
            (Resize::Crop, Some([h, w])) => {
                let cover = (f64::from(w) / f64::from(width)).max(f64::from(h) / f64::from(height));
                let (cw, ch) = by(shorter.map_or(cover, |side| side / least).max(cover));
                (cw.max(w), ch.max(h))
            }
            (Resize::Crop | Resize::Shorter, _) => {
                let side = shorter.or(size.map(|[h, w]| f64::from(h.min(w))));
                by(side.map_or(1.0, |side| side / least))
            }
        };
        let (columns, rows) = match (self.resize, size) {
            (Resize::Stretch | Resize::Crop, Some(_)) => (columns, rows),
            _ => (
                columns.next_multiple_of(self.multiple),
                rows.next_multiple_of(self.multiple),
            ),
        };
        if columns.max(rows) > MAX_SIDE {
            return Err(TaskError::TooLarge {
                what: "side of a picture",
                actual: columns.max(rows) as usize,
                limit: MAX_SIDE as usize,
            });
        }
        let filter = match self.filter {
            Filter::Bilinear => FilterType::Triangle,
            Filter::Bicubic => FilterType::CatmullRom,
            Filter::Nearest => FilterType::Nearest,
        };
        let scaled = if (columns, rows) == (width, height) {
            picture.clone()
        } else {
            imageops::resize(picture, columns, rows, filter)
        };
        Ok(match (self.resize, size) {
            (Resize::Crop, Some([h, w])) => {
                imageops::crop_imm(&scaled, (columns - w) / 2, (rows - h) / 2, w, h).to_image()
            }
            _ => scaled,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::tests::model;

    fn ramp(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 200]))
    }

    #[test]
    fn sizes() {
        let picture = ramp(60, 30);
        let sides = |prepare: Preprocess, size| {
            let scaled = prepare.scale(&picture, size).unwrap();
            (scaled.height(), scaled.width())
        };
        let with = |resize, shorter, multiple| Preprocess {
            resize,
            shorter,
            multiple,
            ..Preprocess::default()
        };
        assert_eq!(sides(with(Resize::Stretch, None, 1), None), (30, 60));
        assert_eq!(sides(with(Resize::Stretch, None, 16), None), (32, 64));
        assert_eq!(sides(with(Resize::Stretch, None, 16), Some([5, 7])), (5, 7));
        assert_eq!(sides(with(Resize::Crop, None, 1), Some([20, 20])), (20, 20));
        assert_eq!(sides(with(Resize::Shorter, Some(10), 1), None), (10, 20));
        assert_eq!(
            sides(with(Resize::Shorter, None, 1), Some([15, 18])),
            (15, 30)
        );
        // The centre, without scaling.
        let crop = with(Resize::Crop, Some(30), 1)
            .scale(&picture, Some([10, 10]))
            .unwrap();
        assert_eq!(crop.get_pixel(0, 0).0, [25, 10, 200]);
        let huge = with(Resize::Shorter, Some(16_000), 1);
        assert!(matches!(
            huge.scale(&picture, None),
            Err(TaskError::TooLarge { .. })
        ));
        assert!(
            Preprocess::default()
                .scale(&RgbImage::new(0, 0), None)
                .is_err()
        );
    }

    #[test]
    fn values_and_layouts() {
        let picture = ramp(4, 4);
        let prepare = Preprocess {
            range: 255.0,
            mean: [0.0, 1.0, 2.0],
            std: [1.0, 2.0, 1.0],
            ..Preprocess::default()
        };
        // Input [1, 3, ?, ?].
        let first = prepare.tensor(&picture, &model("colour.onnx")).unwrap();
        assert_eq!(first.shape, [1, 3, 4, 4]);
        assert_eq!(
            (first.data[3], first.data[16 + 12], first.data[32]),
            (3.0, 1.0, 198.0)
        );
        // Input [1, 4, 4, 3].
        let last = prepare
            .tensor(&picture, &model("colour_nhwc.onnx"))
            .unwrap();
        assert_eq!(last.shape, [1, 4, 4, 3]);
        assert_eq!(last.data[9..12], [3.0, -0.5, 198.0]);
        let bgr = Preprocess {
            order: Order::Bgr,
            ..Preprocess::default()
        };
        let bgr = bgr.tensor(&picture, &model("colour_nhwc.onnx")).unwrap();
        assert_eq!(bgr.data[0], 200.0 / 255.0);
        // A model for sound.
        assert!(matches!(
            prepare.tensor(&picture, &model("loudness.onnx")),
            Err(TaskError::Input { .. })
        ));
        // A size that the model does not take is found when it runs.
        let wrong = Preprocess {
            size: Some([5, 5]),
            ..Preprocess::default()
        };
        let model = model("colour_nhwc.onnx");
        let wrong = model.run(wrong.tensor(&picture, &model).unwrap());
        assert!(matches!(wrong, Err(TaskError::Input { .. })));
    }
}
