//! Plots as SVG and PNG: [`Figure`] for any of them, [`svg`] for rate-distortion curves.

mod axis;
mod figure;

use crate::{EvalError, Metric, RdCurve};
pub use axis::Axis;
pub use figure::{Chart, Colour, Figure, Legend, Series, Stroke};

/// Size and range of a plot.
#[derive(Debug, Clone)]
pub struct PlotOptions {
    /// Heading.
    pub title: String,
    /// Metric on the vertical axis.
    pub metric: Metric,
    /// Points at higher rates are left out.
    pub max_rate: f64,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

impl Default for PlotOptions {
    fn default() -> Self {
        Self {
            title: "Kodak".to_string(),
            metric: Metric::psnr(),
            max_rate: 2.0,
            size: (900, 600),
        }
    }
}

/// Draws the curves, all of pictures or all of sound, with labelled axes and a legend. Text stays text.
///
/// # Errors
/// [`EvalError::Nothing`] when no curve has a finite point in range; [`EvalError::Plot`].
pub fn svg(curves: &[RdCurve], options: &PlotOptions) -> Result<String, EvalError> {
    figure(curves, options).svg()
}

/// As [`svg`], as a PNG file.
///
/// # Errors
/// As [`svg`].
pub fn png(curves: &[RdCurve], options: &PlotOptions) -> Result<Vec<u8>, EvalError> {
    figure(curves, options).png()
}

fn figure(curves: &[RdCurve], options: &PlotOptions) -> Figure {
    let series: Vec<Series> = curves
        .iter()
        .map(|curve| {
            let points = curve.points.iter().map(|point| {
                (
                    point.rate,
                    point.get(&options.metric.key).unwrap_or(f64::NAN),
                )
            });
            let mut points: Vec<(f64, f64)> = points
                .filter(|(x, y)| *x <= options.max_rate && x.is_finite() && y.is_finite())
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            (curve.name.clone(), points)
        })
        .filter(|(_, points)| !points.is_empty())
        .enumerate()
        .map(|(index, (name, points))| Series {
            name,
            points,
            colour: Colour::Number(index),
            stroke: Stroke::Dotted,
        })
        .collect();
    let right = series
        .iter()
        .flat_map(|s| &s.points)
        .map(|p| p.0)
        .fold(0.0, f64::max);
    let chart = Chart {
        title: options.title.clone(),
        x: Axis::linear(curves.first().map_or("", |curve| curve.kind.rate_label()))
            .within(0.0, right * 1.03),
        y: Axis::linear(&options.metric.label),
        series,
        marks: Vec::new(),
        legend: Legend::LowerRight,
    };
    Figure {
        charts: vec![chart],
        columns: 1,
        size: options.size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published;

    #[test]
    fn draws_axes_curves_and_legend() {
        let curves = published::kodak().unwrap();
        let text = svg(&curves, &PlotOptions::default()).unwrap();
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"));
        for word in [
            "rate (bits per pixel)",
            "PSNR (dB)",
            "mbt2018-mean",
            "MLIC++",
            "Kodak",
        ] {
            assert!(text.contains(word), "{word}");
        }
        assert_eq!(
            text.matches("<circle").count(),
            curves.iter().map(|curve| curve.points.len()).sum::<usize>()
        );
        let none = svg(
            &curves,
            &PlotOptions {
                max_rate: 0.01,
                ..PlotOptions::default()
            },
        );
        assert!(matches!(none, Err(EvalError::Nothing { .. })));
    }
}
