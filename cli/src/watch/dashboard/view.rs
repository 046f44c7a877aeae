//! The dashboard drawn.

use std::time::Instant;

use codec::training::{Measure, MeasureKind};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{
    Axis, Block, Cell, Chart, Dataset, Gauge, GraphType, Paragraph, Row, Table,
};

use super::state::{Curve, State};
use crate::watch::text;

/// Colours of charts, those of the terminal's own palette.
const COLOURS: [Color; 4] = [Color::Yellow, Color::Cyan, Color::Green, Color::Magenta];

/// Draws the state.
pub fn draw(frame: &mut Frame<'_>, state: &State, now: Instant) {
    let [top, middle, bottom, keys] = Layout::vertical([
        Constraint::Length(5),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    head(frame, top, state, now);
    charts(frame, middle, state);
    // The table takes what its columns need, messages the rest.
    let qualities = state.validations.back().map_or(0, |row| row.points.len());
    let [left, right] = Layout::horizontal([
        Constraint::Max(23 + 15 * qualities.clamp(1, 5) as u16),
        Constraint::Min(24),
    ])
    .areas(bottom);
    validations(frame, left, state);
    messages(frame, right, state);
    let text = if state.stopping {
        " stopping after this step, with a checkpoint; once more: at once, without one"
    } else {
        " q or Ctrl-C: stop with a checkpoint"
    };
    let bold = Style::new().add_modifier(Modifier::DIM);
    frame.render_widget(Paragraph::new(text).style(bold), keys);
}

fn head(frame: &mut Frame<'_>, area: Rect, state: &State, now: Instant) {
    let block = Block::bordered().title(format!(" codec train  {} ", state.name));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [bar, first, second] = Layout::vertical([Constraint::Length(1); 3]).areas(inner);
    let time = |label: &str, time: Option<_>| match time {
        Some(time) => format!("{label} {}", text::long_time(time)),
        None => format!("{label} -"),
    };
    let label = format!(
        "step {} of {}  {:.1}%  {}  {}",
        state.step,
        state.total,
        100.0 * state.done(),
        time("for", state.elapsed(now)),
        time("eta", state.left(now)),
    );
    let gauge = Gauge::default()
        .ratio(state.done())
        .label(label)
        .gauge_style(Style::new().fg(Color::Blue))
        .use_unicode(true);
    frame.render_widget(gauge, bar);
    let Some(m) = &state.newest else {
        frame.render_widget(Paragraph::new(state.headline.as_str()), first);
        return;
    };
    let mut parts = vec![format!("stage {}", m.stage), format!("loss {:.4}", m.loss)];
    parts.extend(text::measures(&m.metrics));
    frame.render_widget(Paragraph::new(parts.join("   ")), first);
    let mut spans = vec![Span::raw(format!(
        "lr {:.2e}   gradient {:.3}   {:.1} crops/s   ",
        m.lr, m.gradient_norm, m.crops_per_second
    ))];
    // Waiting for data is time that the device stands idle.
    let waiting = format!("waiting {:.0}%", 100.0 * m.waiting);
    spans.push(match m.waiting > 0.1 {
        true => Span::styled(waiting, Style::new().fg(Color::Red)),
        false => Span::raw(waiting),
    });
    if let Some(step) = state.checkpoint {
        spans.push(Span::raw(format!("   checkpoint {step}")));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), second);
}

/// The loss, and the first rate and quality that the model reports, then whatever fits.
fn charts(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let kinds = [MeasureKind::Rate, MeasureKind::Quality];
    let mut names = vec!["loss"];
    names.extend(kinds.into_iter().flat_map(Measure::names_of));
    names.push("perplexity");
    names.retain(|name| state.curves.contains_key(*name));
    names.truncate((usize::from(area.width) / 32).max(1));
    if names.is_empty() {
        let text = Paragraph::new(" waiting for the first report").block(Block::bordered());
        frame.render_widget(text, area);
        return;
    }
    let areas = Layout::horizontal(vec![Constraint::Fill(1); names.len()]).split(area);
    for ((area, name), colour) in areas.iter().zip(names).zip(COLOURS) {
        if let Some(curve) = state.curves.get(name) {
            chart(frame, *area, name, curve, colour);
        }
    }
}

fn chart(frame: &mut Frame<'_>, area: Rect, name: &str, curve: &Curve, colour: Color) {
    let title = Measure::find(name).map_or(name.to_owned(), |m| m.axis());
    let digits = Measure::find(name).map_or(3, |m| m.digits);
    let points = curve.points();
    let trend = trend(points);
    let [x, y] = [ends(points.iter().map(|p| p.0)), inner(points)];
    let label = |v: f64| format!("{v:.digits$}");
    let datasets = vec![
        Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Scatter)
            .style(Style::new().fg(Color::DarkGray))
            .data(points),
        Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(colour))
            .data(&trend),
    ];
    let latest = trend.last().map_or(String::new(), |p| label(p.1));
    let chart = Chart::new(datasets)
        .block(Block::bordered().title(format!(" {title}  {latest} ")))
        .x_axis(
            Axis::default()
                .bounds(x)
                .labels([format!("{:.0}", x[0]), format!("{:.0}", x[1])]),
        )
        .y_axis(Axis::default().bounds(y).labels([
            label(y[0]),
            label((y[0] + y[1]) / 2.0),
            label(y[1]),
        ]));
    frame.render_widget(chart, area);
}

/// Exponential average over a twentieth of the points.
fn trend(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let keep = 1.0 - 1.0 / (1.0 + points.len() as f64 / 20.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    points
        .iter()
        .map(|(x, y)| {
            sum = sum * keep + y;
            weight = weight * keep + 1.0;
            (*x, sum / weight)
        })
        .collect()
}

fn ends(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
        (l.min(v), h.max(v))
    });
    if low < high {
        return [low, high];
    }
    let low = if low.is_finite() { low } else { 0.0 };
    [low - 0.5, low + 0.5]
}

/// Range of the values without the wildest two in a hundred: the first steps would flatten all that follows.
fn inner(points: &[(f64, f64)]) -> [f64; 2] {
    let mut values: Vec<f64> = points.iter().map(|p| p.1).collect();
    values.sort_by(f64::total_cmp);
    let cut = values.len() / 50;
    let kept = values.get(cut..values.len() - cut).unwrap_or(&values);
    let [low, high] = ends(kept.iter().copied());
    let margin = (high - low) * 0.05;
    [low - margin, high + margin]
}

fn validations(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let block = Block::bordered().title(" validation: rate and quality ");
    let Some(last) = state.validations.back() else {
        let text = Paragraph::new(" none yet").block(block);
        frame.render_widget(text, area);
        return;
    };
    let dim = Style::new().add_modifier(Modifier::BOLD);
    let mut heading = vec![Cell::from("step"), Cell::from("score")];
    heading.extend(
        last.points
            .iter()
            .map(|p| Cell::from(format!("q{:.0}", p.quality))),
    );
    let room = usize::from(area.height.saturating_sub(3));
    let rows = state.validations.iter().rev().take(room).map(|row| {
        let star = if row.best { "*" } else { " " };
        let mut cells = vec![
            Cell::from(row.step.to_string()),
            Cell::from(format!("{:.4}{star}", row.score)),
        ];
        cells.extend(row.points.iter().map(|p| {
            let first = |kind| {
                let value = |name| {
                    let digits = Measure::find(name)?.digits;
                    Some(format!("{:.digits$}", p.get(name)?))
                };
                Measure::names_of(kind).find_map(value)
            };
            let both = [first(MeasureKind::Rate), first(MeasureKind::Quality)];
            Cell::from(both.into_iter().flatten().collect::<Vec<_>>().join(" "))
        }));
        let style = match row.best {
            true => Style::new().fg(Color::Green),
            false => Style::new(),
        };
        Row::new(cells).style(style)
    });
    let mut widths = vec![Constraint::Length(8), Constraint::Length(9)];
    widths.extend(last.points.iter().map(|_| Constraint::Length(13)));
    let table = Table::new(rows, widths)
        .header(Row::new(heading).style(dim))
        .column_spacing(1)
        .block(block);
    frame.render_widget(table, area);
}

fn messages(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let room = usize::from(area.height.saturating_sub(2));
    let mut lines: Vec<Line<'_>> = state.messages().take(room).map(Line::raw).collect();
    lines.reverse();
    let block = Block::bordered().title(" messages ");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::report;
    use super::*;
    use codec::training::{Event, ValidationPoint};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(state: &State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let now = Instant::now();
        terminal.draw(|frame| draw(frame, state, now)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn everything_has_its_place() {
        let mut state = State::new("wpmr/test", 500);
        let now = Instant::now();
        assert!(drawn(&state, 100, 30).contains("waiting for the first report"));
        for step in (20..=400).step_by(20) {
            state.event(&report(step), now);
        }
        let point = |quality, bpp| ValidationPoint {
            quality,
            metrics: [("bpp".to_owned(), bpp), ("psnr".to_owned(), 31.5)].into(),
        };
        let validation = Event::Validation {
            step: 400,
            score: -0.25,
            best: true,
            points: vec![point(10.0, 0.125), point(90.0, 1.5)],
            samples: Vec::new(),
        };
        state.event(&validation, now);
        state.event(&Event::Checkpoint { step: 400 }, now);
        state.message("something odd".into());
        let text = drawn(&state, 120, 36);
        for word in [
            "step 400 of 500  80.0%",
            "wpmr/test",
            "stage float",
            "lr 4.00e-4",
            "12.5 crops/s",
            "waiting 2%",
            "rate (bpp)",
            "PSNR (dB)",
            "-0.2500*",
            "0.125 31.50",
            "checkpoint 400",
            "something odd",
            "q or Ctrl-C",
        ] {
            assert!(text.contains(word), "{word} in\n{text}");
        }
        assert!(!text.contains("validation -0.25"), "the table says it");
        state.stopping = true;
        assert!(drawn(&state, 120, 36).contains("stopping after this step"));
        // Whatever the size, it draws.
        for (width, height) in [(1, 1), (20, 5), (80, 24), (300, 80)] {
            drawn(&state, width, height);
        }
    }
}
