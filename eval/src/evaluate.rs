//! Runs a codec over pictures and qualities.

use crate::anchors::Anchor;
use crate::rd::average;
use crate::{Environment, EvalError, FileRow, RdCurve, environment, ms_ssim, psnr_rgb};
use image::{ImageReader, RgbImage};
use rayon::prelude::*;
use std::path::Path;
use std::time::Instant;

/// A picture to evaluate on.
#[derive(Debug, Clone)]
pub struct TestPicture {
    /// Name in reports.
    pub name: String,
    /// 8-bit RGB pixels.
    pub image: RgbImage,
}

/// What a codec made of one picture.
#[derive(Debug, Clone)]
pub struct Coded {
    /// Length of the whole encoded file.
    pub bytes: u64,
    /// The picture decoded from it.
    pub decoded: RgbImage,
    /// Seconds to encode.
    pub encoding_time: f64,
    /// Seconds to decode.
    pub decoding_time: f64,
}

/// Cause of a failure inside a codec under evaluation.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Reads all files of a folder (not its subfolders), sorted by name, as 8-bit RGB.
///
/// # Errors
/// A folder or picture that cannot be read: leaving one out would silently change every average.
pub fn load_pictures(dir: impl AsRef<Path>) -> Result<Vec<TestPicture>, EvalError> {
    let dir = dir.as_ref();
    let fail = |source| EvalError::Io {
        path: dir.to_path_buf(),
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let load = |path: std::path::PathBuf| {
        let reader = ImageReader::open(&path).and_then(ImageReader::with_guessed_format);
        let image = reader
            .map_err(image::ImageError::from)
            .and_then(ImageReader::decode);
        let name = path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        match image {
            Ok(image) => Ok(TestPicture {
                name,
                image: image.into_rgb8(),
            }),
            Err(source) => Err(EvalError::Picture { path, source }),
        }
    };
    paths.into_par_iter().map(load).collect()
}

/// Evaluates a codec given as a function from picture and quality to [`Coded`], in parallel over files and qualities.
///
/// Times are then those of a busy machine; install a pool of one thread, or use [`evaluate_serial`], to measure them.
///
/// # Errors
/// The first failure of the codec or a metric; nothing to evaluate.
pub fn evaluate<F>(
    name: &str,
    description: &str,
    pictures: &[TestPicture],
    qualities: &[f64],
    codec: F,
) -> Result<RdCurve, EvalError>
where
    F: Fn(&RgbImage, f64) -> Result<Coded, Cause> + Sync,
{
    let jobs: Vec<(f64, &TestPicture)> = jobs(pictures, qualities)?;
    let rows: Result<Vec<FileRow>, EvalError> = jobs
        .into_par_iter()
        .map(|(quality, picture)| row(picture, quality, codec(&picture.image, quality)))
        .collect();
    Ok(curve(name, description, rows?, qualities, environment()))
}

/// As [`evaluate`], one after the other on this thread: for codecs that cannot be shared between threads or that use
/// all of the machine for one picture.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_serial<F>(
    name: &str,
    description: &str,
    pictures: &[TestPicture],
    qualities: &[f64],
    mut codec: F,
) -> Result<RdCurve, EvalError>
where
    F: FnMut(&RgbImage, f64) -> Result<Coded, Cause>,
{
    let jobs = jobs(pictures, qualities)?;
    let rows: Result<Vec<FileRow>, EvalError> = jobs
        .into_iter()
        .map(|(quality, picture)| row(picture, quality, codec(&picture.image, quality)))
        .collect();
    Ok(curve(name, description, rows?, qualities, environment()))
}

/// Evaluates an [`Anchor`] at the given qualities; its version goes into the environment.
///
/// # Errors
/// As [`evaluate`]; [`EvalError::MissingTool`] at once when the tool is not installed.
pub fn evaluate_anchor(
    anchor: &dyn Anchor,
    pictures: &[TestPicture],
    qualities: &[f64],
) -> Result<RdCurve, EvalError> {
    let version = anchor.version()?;
    let mut curve = evaluate(
        anchor.name(),
        &anchor.description(),
        pictures,
        qualities,
        |picture, quality| {
            let started = Instant::now();
            let bytes = anchor.encode(picture, quality)?;
            let encoding_time = started.elapsed().as_secs_f64();
            let started = Instant::now();
            let decoded = anchor.decode(&bytes)?;
            let decoding_time = started.elapsed().as_secs_f64();
            Ok(Coded {
                bytes: bytes.len() as u64,
                decoded,
                encoding_time,
                decoding_time,
            })
        },
    )?;
    curve.environment.insert("version".to_string(), version);
    Ok(curve)
}

fn jobs<'a>(
    pictures: &'a [TestPicture],
    qualities: &[f64],
) -> Result<Vec<(f64, &'a TestPicture)>, EvalError> {
    if pictures.is_empty() || qualities.is_empty() {
        return Err(EvalError::Nothing {
            pictures: pictures.len(),
            qualities: qualities.len(),
        });
    }
    Ok(qualities
        .iter()
        .flat_map(|&quality| pictures.iter().map(move |picture| (quality, picture)))
        .collect())
}

fn row(
    picture: &TestPicture,
    quality: f64,
    coded: Result<Coded, Cause>,
) -> Result<FileRow, EvalError> {
    let wrap = |source| EvalError::Codec {
        picture: picture.name.clone(),
        quality,
        source,
    };
    let coded = coded.map_err(wrap)?;
    let (width, height) = picture.image.dimensions();
    let psnr = psnr_rgb(&picture.image, &coded.decoded).map_err(|error| wrap(error.into()))?;
    let ms_ssim = match ms_ssim(&picture.image, &coded.decoded) {
        Ok(value) => Some(value),
        Err(EvalError::PictureTooSmall { .. }) => None,
        Err(error) => return Err(wrap(error.into())),
    };
    Ok(FileRow {
        file: picture.name.clone(),
        quality,
        width,
        height,
        bytes: coded.bytes,
        bpp: coded.bytes as f64 * 8.0 / (f64::from(width) * f64::from(height)),
        psnr,
        ms_ssim,
        encoding_time: coded.encoding_time,
        decoding_time: coded.decoding_time,
    })
}

fn curve(
    name: &str,
    description: &str,
    per_file: Vec<FileRow>,
    qualities: &[f64],
    environment: Environment,
) -> RdCurve {
    let points = average(&per_file, qualities);
    RdCurve {
        name: name.to_string(),
        description: description.to_string(),
        points,
        environment,
        per_file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_images::pair;

    fn pictures() -> Vec<TestPicture> {
        let picture = |name: &str, width, height| TestPicture {
            name: name.into(),
            image: pair(width, height, 1).0,
        };
        vec![picture("a", 170, 180), picture("b", 40, 30)]
    }

    /// Drops low bits; "encodes" to 10 bytes a quality level.
    fn coarse(picture: &RgbImage, quality: f64) -> Result<Coded, Cause> {
        let mut decoded = picture.clone();
        decoded
            .iter_mut()
            .for_each(|value| *value &= 0xFF << (4 - quality as u32));
        Ok(Coded {
            bytes: 10 * quality as u64,
            decoded,
            encoding_time: 0.0,
            decoding_time: 0.0,
        })
    }

    #[test]
    fn parallel_and_serial_agree() {
        let pictures = pictures();
        let parallel = evaluate("coarse", "", &pictures, &[3.0, 1.0], coarse).unwrap();
        let serial = evaluate_serial("coarse", "", &pictures, &[3.0, 1.0], coarse).unwrap();
        assert_eq!(parallel, serial);
        assert_eq!(parallel.per_file.len(), 4);
        assert_eq!(parallel.points.len(), 2);
        assert!(parallel.points[0].psnr > parallel.points[1].psnr);
        assert_eq!(parallel.points[0].ms_ssim, None, "one picture is too small");
        assert!(parallel.per_file[0].ms_ssim.is_some());
        assert_eq!(parallel.per_file[1].bpp, 240.0 / 1200.0);
    }

    #[test]
    fn failures_name_the_picture() {
        let pictures = pictures();
        let error = evaluate("broken", "", &pictures, &[1.0], |_, _| {
            Err("out of luck".into())
        })
        .unwrap_err();
        assert_eq!(error.to_string(), "a at quality 1 failed");
        let wrong = |_: &RgbImage, _| {
            Ok(Coded {
                bytes: 1,
                decoded: RgbImage::new(1, 1),
                encoding_time: 0.0,
                decoding_time: 0.0,
            })
        };
        assert!(matches!(
            evaluate("wrong", "", &pictures, &[1.0], wrong),
            Err(EvalError::Codec { .. })
        ));
        assert!(matches!(
            evaluate("none", "", &[], &[1.0], coarse),
            Err(EvalError::Nothing { .. })
        ));
        assert!(matches!(
            load_pictures("/no/such/folder"),
            Err(EvalError::Io { .. })
        ));
    }
}
