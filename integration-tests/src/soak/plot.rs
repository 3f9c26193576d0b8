//! The samples as a plot: one strip for each figure, over time.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::Sample;
use super::flat::{KINDS, Kind};

/// Size, pixels.
const WIDTH: u32 = 1000;
const STRIP: u32 = 220;

/// The plot as SVG.
///
/// # Errors
/// Fails if it cannot be drawn.
pub fn svg(samples: &[Sample]) -> Result<String> {
    let mut text = String::new();
    {
        let strips = u32::try_from(KINDS.len())?;
        let area = SVGBackend::with_string(&mut text, (WIDTH, STRIP * strips)).into_drawing_area();
        area.fill(&WHITE).map_err(|error| anyhow!("{error}"))?;
        for (kind, strip) in KINDS.iter().zip(area.split_evenly((KINDS.len(), 1))) {
            draw(kind, samples, &strip).map_err(|error| anyhow!("{}: {error}", kind.name))?;
        }
        area.present().map_err(|error| anyhow!("{error}"))?;
    }
    Ok(text)
}

type Strip<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(
    kind: &Kind,
    samples: &[Sample],
    strip: &Strip<'_>,
) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let end = samples.last().map_or(1.0, |last| last.at);
    let most = samples.iter().map(kind.of).fold(1.0, f64::max) * 1.2;
    let mut chart = ChartBuilder::on(strip)
        .caption(kind.name, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(25)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..end, 0.0..most)?;
    chart.configure_mesh().x_desc("seconds").light_line_style(WHITE).draw()?;
    chart.draw_series(LineSeries::new(samples.iter().map(|sample| (sample.at, (kind.of)(sample))), &BLUE))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_its_strip() {
        let sample =
            |at: f64| Sample { at, descriptors: 20.0, memory: 30.0, tasks: 9.0, processes: at % 5.0 };
        let drawn = svg(&[sample(1.0), sample(2.0), sample(3.0)]).unwrap();
        assert!(drawn.starts_with("<svg") && drawn.trim_end().ends_with("</svg>"));
        assert!(KINDS.iter().all(|kind| drawn.contains(kind.name)), "{drawn}");
        svg(&[]).unwrap();
    }
}
