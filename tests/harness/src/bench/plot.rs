//! Pictures of figures, as SVG: no I/O.

use anyhow::Context;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const WIDTH: u32 = 720;
const HEIGHT: u32 = 400;
/// What one bar and the space around it take.
const BAR: u32 = 24;

/// Text stays text: whoever shows the picture has a font.
const FONT: &str = "sans-serif";

/// They differ in lightness too.
const COLORS: [RGBColor; 4] = [
    RGBColor(0, 90, 160),
    RGBColor(230, 120, 0),
    RGBColor(60, 60, 60),
    RGBColor(90, 180, 90),
];

/// Points that belong together.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// What a picture says in words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
}

/// Draws series over a logarithmic x axis; the y axis begins with 0.
pub(crate) fn lines(words: Words<'_>, all: &[Series]) -> anyhow::Result<String> {
    let points = || all.iter().flat_map(|one| &one.points);
    let least = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
    let most = points().map(|(x, _)| *x).fold(0.0, f64::max);
    anyhow::ensure!(
        0.0 < least && least <= most,
        "a logarithmic axis needs points"
    );
    drawn((WIDTH, HEIGHT), |area| {
        let mut chart = ChartBuilder::on(area)
            .caption(words.title, (FONT, 20))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(
                (least / 1.3..most * 1.3).log_scale(),
                0.0..top(points().map(|(_, y)| *y)),
            )?;
        chart
            .configure_mesh()
            .x_desc(words.x)
            .y_desc(words.y)
            .axis_desc_style((FONT, 16))
            .label_style((FONT, 14))
            .light_line_style(TRANSPARENT)
            .x_label_formatter(&|x| short(*x))
            .y_label_formatter(&|y| short(*y))
            .draw()?;
        for (one, color) in all.iter().zip(COLORS.iter().cycle()) {
            let color = *color;
            chart
                .draw_series(LineSeries::new(
                    one.points.iter().copied(),
                    color.stroke_width(2),
                ))?
                .label(&one.name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2))
                });
            chart.draw_series(
                one.points
                    .iter()
                    .map(|point| Circle::new(*point, 4, color.filled())),
            )?;
        }
        if all.len() > 1 {
            // Where the highest point is not.
            let highest = points().max_by(|(_, a), (_, b)| a.total_cmp(b));
            let is_left = highest.is_some_and(|(x, _)| *x < (least * most).sqrt());
            chart
                .configure_series_labels()
                .position(if is_left {
                    SeriesLabelPosition::UpperRight
                } else {
                    SeriesLabelPosition::UpperLeft
                })
                .label_font((FONT, 14))
                .background_style(WHITE.filled())
                .border_style(BLACK.mix(0.3))
                .draw()?;
        }
        Ok(())
    })
}

/// Draws a panel of bars for each series, one below the other; the n-th bar, that of the x coordinate n, has the n-th
/// name.
pub(crate) fn bars(names: &[String], all: &[Series]) -> anyhow::Result<String> {
    let bars = u32::try_from(names.len()).context("count the bars")?;
    let panels = u32::try_from(all.len()).context("count the panels")?;
    anyhow::ensure!(bars > 0 && panels > 0, "nothing to draw");
    drawn((WIDTH, panels * (bars * BAR + 90)), |area| {
        for (panel, one) in area.split_evenly((all.len(), 1)).iter().zip(all) {
            let longest = top(one.points.iter().map(|(_, y)| *y));
            let mut chart = ChartBuilder::on(panel)
                .caption(&one.name, (FONT, 18))
                .margin(12)
                .x_label_area_size(24)
                .y_label_area_size(150)
                .build_cartesian_2d(0.0..longest, (f64::from(bars) - 0.5)..-0.5)?;
            chart
                .configure_mesh()
                .disable_y_mesh()
                // The names are drawn by hand: each beside its bar, not where ticks happen to be.
                .y_labels(0)
                .light_line_style(TRANSPARENT)
                .label_style((FONT, 14))
                .x_label_formatter(&|x| short(*x))
                .draw()?;
            chart.draw_series(one.points.iter().map(|(at, length)| {
                Rectangle::new([(0.0, at - 0.35), (*length, at + 0.35)], COLORS[0].filled())
            }))?;
            chart.draw_series(one.points.iter().map(|(at, length)| {
                EmptyElement::at((*length, *at))
                    + Text::new(short(*length), (4, -6), (FONT, 14).into_font())
            }))?;
            for (at, name) in names.iter().enumerate() {
                let at = u32::try_from(at).context("count the bars")?;
                let (x, y) = chart.backend_coord(&(0.0, f64::from(at)));
                let right = Pos::new(HPos::Right, VPos::Center);
                let style = (FONT, 14).into_text_style(area).pos(right);
                area.draw(&Text::new(name.as_str(), (x - 8, y), style))?;
            }
        }
        Ok(())
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn drawn(
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present()?;
    }
    Ok(text)
}

/// Where an axis ends that has these figures on it: above them all is room for the legend.
fn top(figures: impl Iterator<Item = f64>) -> f64 {
    let most = figures.filter(|one| one.is_finite()).fold(0.0, f64::max);
    if most > 0.0 { most * 1.2 } else { 1.0 }
}

/// A number with three digits: 0.5, 12, 1.5k, 3M.
fn short(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        n if n >= 1e6 => (number / 1e6, "M"),
        n if n >= 1e3 => (number / 1e3, "k"),
        _ => (number, ""),
    };
    let decimals = match scaled.abs() {
        n if n >= 100.0 => 0,
        n if n >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{scaled:.decimals$}");
    let text = if decimals > 0 {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::{Series, Words, bars, lines, short};

    fn series(name: &str, points: &[(f64, f64)]) -> Series {
        Series {
            name: name.into(),
            points: points.to_vec(),
        }
    }

    #[test]
    fn words_and_names_are_in_the_picture_as_text() {
        let words = Words {
            title: "Partitions",
            x: "how many",
            y: "us",
        };
        let all = [
            series("first", &[(1.0, 5.0), (200.0, 6.0)]),
            series("second", &[(1.0, 2.0), (200.0, 3.0)]),
        ];

        let svg = lines(words, &all).unwrap();

        assert!(svg.starts_with("<svg"), "{svg}");
        for word in ["Partitions", "how many", "us", "first", "second", "100"] {
            assert!(svg.contains(&format!("\n{word}\n")), "{word}: {svg}");
        }
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(svg.matches("<polyline").count() >= 2);
    }

    #[test]
    fn a_single_point_is_drawn_and_none_is_an_error() {
        let words = Words {
            title: "t",
            x: "x",
            y: "y",
        };

        assert!(lines(words, &[series("one", &[(8.0, 0.0)])]).is_ok());
        assert!(lines(words, &[]).is_err());
    }

    #[test]
    fn each_bar_has_its_name_and_its_number() {
        let names = ["loop".to_owned(), "key".to_owned()];

        let svg = bars(&names, &[series("rate", &[(0.0, 100.0), (1.0, 151.4)])]).unwrap();

        for word in ["rate", "loop", "key", "100", "151"] {
            assert!(svg.contains(&format!("\n{word}\n")), "{word}: {svg}");
        }
    }

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 0.5, 12.34, 800.0, 1500.0, 10_000.0, 1_048_576.0].map(short);

        assert_eq!(all, ["0", "0.5", "12.3", "800", "1.5k", "10k", "1.05M"]);
    }
}
