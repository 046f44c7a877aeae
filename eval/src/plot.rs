//! Rate-distortion plots as SVG.

use crate::{EvalError, Metric, RdCurve};
use plotters::prelude::*;

/// Size and range of a plot.
#[derive(Debug, Clone)]
pub struct PlotOptions {
    /// Heading.
    pub title: String,
    /// Metric on the vertical axis.
    pub metric: Metric,
    /// Points at higher rates are left out.
    pub max_bpp: f64,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

impl Default for PlotOptions {
    fn default() -> Self {
        Self {
            title: "Kodak".to_string(),
            metric: Metric::Psnr,
            max_bpp: 2.0,
            size: (900, 600),
        }
    }
}

/// Colours that stay apart for colour-blind readers (Okabe and Ito, "Color universal design", 2008).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(140, 140, 140),
];

/// Draws the curves with labelled axes and a legend. Text stays text, so the result needs no fonts here.
///
/// # Errors
/// [`EvalError::Nothing`] when no curve has a finite point in range; [`EvalError::Plot`].
pub fn svg(curves: &[RdCurve], options: &PlotOptions) -> Result<String, EvalError> {
    let series: Vec<(&str, Vec<(f64, f64)>)> = curves
        .iter()
        .map(|curve| {
            let points = curve
                .points
                .iter()
                .map(|point| (point.bpp, options.metric.of(point)));
            let mut points: Vec<(f64, f64)> = points
                .filter(|(x, y)| *x <= options.max_bpp && x.is_finite() && y.is_finite())
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            (curve.name.as_str(), points)
        })
        .filter(|(_, points)| !points.is_empty())
        .collect();
    if series.is_empty() {
        return Err(EvalError::Nothing {
            pictures: 0,
            qualities: 0,
        });
    }
    let all = || series.iter().flat_map(|(_, points)| points);
    let right = all().map(|point| point.0).fold(0.0, f64::max) * 1.03;
    let (low, high) = all().fold((f64::MAX, f64::MIN), |(low, high), point| {
        (low.min(point.1), high.max(point.1))
    });
    let margin = ((high - low) * 0.04).max(0.1);

    let mut text = String::new();
    draw(
        &mut text,
        &series,
        options,
        right,
        (low - margin)..(high + margin),
    )
    .map_err(|error| EvalError::Plot(error.to_string()))?;
    Ok(text)
}

fn draw(
    text: &mut String,
    series: &[(&str, Vec<(f64, f64)>)],
    options: &PlotOptions,
    right: f64,
    vertical: std::ops::Range<f64>,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(text, options.size).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(&options.title, ("sans-serif", 22))
        .margin(12)
        .x_label_area_size(45)
        .y_label_area_size(55)
        .build_cartesian_2d(0.0..right, vertical)?;
    chart
        .configure_mesh()
        .x_desc("rate (bits per pixel)")
        .y_desc(options.metric.label())
        .x_label_formatter(&|x| format!("{x:.1}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .light_line_style(WHITE.mix(0.0))
        .bold_line_style(BLACK.mix(0.15))
        .label_style(("sans-serif", 14))
        .axis_desc_style(("sans-serif", 16))
        .draw()?;
    for ((name, points), colour) in series.iter().zip(COLOURS.iter().cycle().copied()) {
        chart
            .draw_series(LineSeries::new(
                points.iter().copied(),
                colour.stroke_width(2),
            ))?
            .label(*name)
            .legend(move |(x, y)| {
                PathElement::new(vec![(x, y), (x + 20, y)], colour.stroke_width(3))
            });
        chart.draw_series(
            points
                .iter()
                .map(|&point| Circle::new(point, 3, colour.filled())),
        )?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .margin(10)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 15))
        .draw()?;
    root.present()?;
    Ok(())
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
                max_bpp: 0.01,
                ..PlotOptions::default()
            },
        );
        assert!(matches!(none, Err(EvalError::Nothing { .. })));
    }
}
