//! Figures of one or more charts in the one style of this project, as SVG and PNG.

use std::sync::OnceLock;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageEncoder, RgbImage, imageops};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::axis::Axis;
use crate::EvalError;

/// Roboto Regular, Latin letters only (`NOTICES.md`): pictures need no fonts of the machine.
const FONT: &[u8] = include_bytes!("../../assets/Roboto-Regular-latin.ttf");
/// Name of the font; in an SVG it stays text in the reader's own.
const FAMILY: &str = "sans-serif";
/// Pixels of a PNG per unit of a figure's size, for screens of twice the usual density.
const PNG_SCALE: u32 = 2;
/// A PNG is drawn larger by this factor and averaged, which smooths thick lines as well.
const OVERSAMPLING: u32 = 2;
/// Largest side of a figure.
const MAX_SIDE: u32 = 4000;

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

/// Ends and middles of a scale from light to dark, even in brightness.
const RAMP: [(f64, f64, f64); 4] = [
    (204.0, 210.0, 120.0),
    (72.0, 174.0, 130.0),
    (38.0, 110.0, 142.0),
    (60.0, 20.0, 90.0),
];

/// Colour of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Colour {
    /// One of eight; larger numbers start again.
    Number(usize),
    /// A place on a scale from light (0) to dark (1).
    Ramp(f64),
}

impl Colour {
    fn rgb(self) -> RGBColor {
        match self {
            Self::Number(n) => COLOURS.get(n % COLOURS.len()).copied().unwrap_or(BLACK),
            Self::Ramp(at) => {
                let at = at.clamp(0.0, 1.0) * (RAMP.len() - 1) as f64;
                let low = (at as usize).min(RAMP.len() - 2);
                let (a, b) = (RAMP[low], RAMP[low + 1]);
                let mix = |a: f64, b: f64| (a + (b - a) * (at - low as f64)).round() as u8;
                RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
            }
        }
    }
}

/// How the points of a series are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// A line.
    Line,
    /// A line with a dot at each point.
    Dotted,
    /// A thin pale line, for what is noisy.
    Faint,
}

/// Points of a chart that belong together.
#[derive(Debug, Clone)]
pub struct Series {
    /// Name in the legend; none if empty.
    pub name: String,
    /// Points in the order in which they are joined.
    pub points: Vec<(f64, f64)>,
    /// Colour.
    pub colour: Colour,
    /// How they are joined.
    pub stroke: Stroke,
}

/// Where a legend stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Legend {
    /// Bottom right.
    LowerRight,
    /// Top right.
    UpperRight,
    /// Top left.
    UpperLeft,
}

/// Axes with series.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Heading.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// What is drawn; later series cover earlier ones.
    pub series: Vec<Series>,
    /// Vertical lines with a name.
    pub marks: Vec<(f64, String)>,
    /// Where the legend stands.
    pub legend: Legend,
}

impl Chart {
    /// Whether a point of some series has a place on both axes.
    pub fn has_points(&self) -> bool {
        self.drawn().next().is_some()
    }

    fn drawn(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let all = self.series.iter().flat_map(|s| s.points.iter().copied());
        all.filter(|(x, y)| self.x.takes(*x) && self.y.takes(*y))
    }
}

/// Charts on a grid.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Charts, row by row.
    pub charts: Vec<Chart>,
    /// Charts in a row.
    pub columns: usize,
    /// Width and height, in pixels of an SVG.
    pub size: (u32, u32),
}

impl Figure {
    /// The figure as SVG text.
    ///
    /// # Errors
    /// [`EvalError::Nothing`] when a chart has no point, [`EvalError::Plot`].
    pub fn svg(&self) -> Result<String, EvalError> {
        self.check()?;
        let mut text = String::new();
        let root = SVGBackend::with_string(&mut text, self.size).into_drawing_area();
        self.draw(&root, 1.0).map_err(|e| plot_error(&e))?;
        drop(root);
        Ok(text)
    }

    /// The figure as the bytes of a PNG file of twice the size.
    ///
    /// # Errors
    /// As [`Figure::svg`].
    pub fn png(&self) -> Result<Vec<u8>, EvalError> {
        self.check()?;
        let (width, height) = (self.size.0 * PNG_SCALE, self.size.1 * PNG_SCALE);
        let large = (width * OVERSAMPLING, height * OVERSAMPLING);
        let mut picture = RgbImage::new(large.0, large.1);
        {
            let root = BitMapBackend::with_buffer(&mut picture, large).into_drawing_area();
            self.draw(&root, f64::from(PNG_SCALE * OVERSAMPLING))
                .map_err(|e| plot_error(&e))?;
        }
        let picture = imageops::thumbnail(&picture, width, height);
        let mut bytes = Vec::new();
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
            .write_image(&picture, width, height, image::ExtendedColorType::Rgb8)
            .map_err(|e| plot_error(&e))?;
        Ok(bytes)
    }

    fn check(&self) -> Result<(), EvalError> {
        let (width, height) = self.size;
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(EvalError::Plot(format!(
                "invalid size {width}x{height} (expected 1..={MAX_SIDE} a side)"
            )));
        }
        if self.charts.is_empty() || !self.charts.iter().all(Chart::has_points) {
            return Err(EvalError::Nothing {
                files: 0,
                qualities: 0,
            });
        }
        static REGISTERED: OnceLock<bool> = OnceLock::new();
        match REGISTERED.get_or_init(|| register_font(FAMILY, FontStyle::Normal, FONT).is_ok()) {
            true => Ok(()),
            false => Err(EvalError::Plot("the built-in font is damaged".into())),
        }
    }

    fn draw<DB: DrawingBackend>(
        &self,
        root: &DrawingArea<DB, Shift>,
        scale: f64,
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        root.fill(&WHITE)?;
        let columns = self.columns.clamp(1, self.charts.len());
        let rows = self.charts.len().div_ceil(columns);
        let size = (self.size.0 / columns as u32, self.size.1 / rows as u32);
        for (area, chart) in root.split_evenly((rows, columns)).iter().zip(&self.charts) {
            draw_chart(area, chart, size, scale)?;
        }
        root.present()
    }
}

fn plot_error(error: &dyn std::fmt::Display) -> EvalError {
    EvalError::Plot(error.to_string())
}

fn draw_chart<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    chart: &Chart,
    size: (u32, u32),
    scale: f64,
) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
    let px = |length: f64| length * scale;
    let whole = |length: f64| px(length).round() as u32;
    let x = chart
        .x
        .span(chart.drawn().map(|p| p.0), size.0 as usize / 90);
    let y = chart
        .y
        .span(chart.drawn().map(|p| p.1), size.1 as usize / 55);
    let (Some(x), Some(y)) = (x, y) else {
        return Ok(()); // checked before
    };
    let (bottom, top) = (
        plotters::coord::ranged1d::Ranged::range(&y).start,
        plotters::coord::ranged1d::Ranged::range(&y).end,
    );
    let left_to_right = plotters::coord::ranged1d::Ranged::range(&x);
    let mut builder = ChartBuilder::on(area);
    if !chart.title.is_empty() {
        builder.caption(&chart.title, (FAMILY, px(18.0)));
    }
    let mut context = builder
        .margin(whole(12.0))
        .margin_right(whole(20.0))
        .x_label_area_size(whole(45.0))
        .y_label_area_size(whole(60.0))
        .build_cartesian_2d(x, y)?;
    context
        .configure_mesh()
        .x_desc(chart.x.label.as_str())
        .y_desc(chart.y.label.as_str())
        .bold_line_style(BLACK.mix(0.13).stroke_width(whole(1.0)))
        .axis_style(BLACK.mix(0.6).stroke_width(whole(1.0)))
        .label_style((FAMILY, px(14.0)))
        .axis_desc_style((FAMILY, px(15.0)))
        .set_all_tick_mark_size(whole(4.0))
        .draw()?;
    for (at, name) in &chart.marks {
        if !left_to_right.contains(at) {
            continue;
        }
        let style = BLACK.mix(0.45).stroke_width(whole(1.0));
        let (dash, gap) = (whole(5.0) as i32, whole(4.0) as i32);
        context.draw_series(DashedLineSeries::new(
            [(*at, bottom), (*at, top)],
            dash as u32,
            gap as u32,
            style,
        ))?;
        let text = (FAMILY, px(13.0)).into_font().color(&BLACK.mix(0.7));
        let place = EmptyElement::at((*at, top))
            + Text::new(name.clone(), (whole(5.0) as i32, whole(4.0) as i32), text);
        context.plotting_area().draw(&place)?;
    }
    let mut named = false;
    for series in &chart.series {
        let colour = series.colour.rgb();
        let points = || {
            let all = series.points.iter().copied();
            all.filter(|(x, y)| chart.x.takes(*x) && chart.y.takes(*y))
        };
        let (style, width) = match series.stroke {
            Stroke::Faint => (colour.mix(0.3), 1.0),
            Stroke::Line | Stroke::Dotted => (colour.to_rgba(), 2.0),
        };
        let line = LineSeries::new(points(), style.stroke_width(whole(width)));
        let drawn = context.draw_series(line)?;
        if !series.name.is_empty() {
            named = true;
            let (length, width) = (whole(20.0) as i32, whole(3.0));
            drawn.label(series.name.as_str()).legend(move |(x, y)| {
                PathElement::new(vec![(x, y), (x + length, y)], colour.stroke_width(width))
            });
        }
        // A line through one point shows nothing.
        if series.stroke == Stroke::Dotted || points().nth(1).is_none() {
            let dots = points().map(|p| Circle::new(p, px(3.0), colour.filled()));
            context.draw_series(dots)?;
        }
    }
    if named {
        context
            .configure_series_labels()
            .position(match chart.legend {
                Legend::LowerRight => SeriesLabelPosition::LowerRight,
                Legend::UpperRight => SeriesLabelPosition::UpperRight,
                Legend::UpperLeft => SeriesLabelPosition::UpperLeft,
            })
            .margin(whole(8.0))
            .legend_area_size(whole(28.0))
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3).stroke_width(whole(1.0)))
            .label_font((FAMILY, px(14.0)))
            .draw()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure() -> Figure {
        let series = |name: &str, colour| Series {
            name: name.into(),
            points: (1..50)
                .map(|i| (f64::from(i), 100.0 / f64::from(i)))
                .collect(),
            colour,
            stroke: Stroke::Line,
        };
        let chart = Chart {
            title: "learning".into(),
            x: Axis::linear("step"),
            y: Axis::log("loss"),
            series: vec![
                series("one", Colour::Number(0)),
                series("", Colour::Ramp(0.4)),
            ],
            marks: vec![(20.0, "second stage".into())],
            legend: Legend::UpperRight,
        };
        Figure {
            charts: vec![chart.clone(), chart],
            columns: 2,
            size: (700, 300),
        }
    }

    #[test]
    fn svg_and_png_come_from_the_same_drawing() {
        let figure = figure();
        let text = figure.svg().unwrap();
        for word in ["learning", "step", "loss", "one", "second stage"] {
            assert_eq!(text.matches(&format!("\n{word}\n")).count(), 2, "{word}");
        }
        let picture = image::load_from_memory(&figure.png().unwrap())
            .unwrap()
            .to_rgb8();
        assert_eq!(picture.dimensions(), (1400, 600));
        let has = |colour: RGBColor| {
            let colour = [colour.0, colour.1, colour.2];
            picture.pixels().filter(|p| p.0 == colour).count()
        };
        assert!(has(WHITE) > 400_000);
        assert!(has(Colour::Ramp(0.4).rgb()) > 500, "the upper series");
    }

    #[test]
    fn empty_charts_and_absurd_sizes_are_errors() {
        let mut empty = figure();
        empty.charts[1].series.clear();
        assert!(matches!(empty.svg(), Err(EvalError::Nothing { .. })));
        let mut large = figure();
        large.size = (100_000, 10);
        assert!(matches!(large.png(), Err(EvalError::Plot(_))));
    }
}
