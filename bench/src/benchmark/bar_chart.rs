//! Bar charts of times: as characters for a terminal, and as an SVG file.

use console::style;

use super::statistics::Spread;
use super::svg::{BAR, LEFT, page};
use super::variant::Variant;

/// One time per variant, in milliseconds.
#[derive(Debug)]
pub(super) struct BarChart {
    pub(super) title: &'static str,
    pub(super) bars: Vec<(Variant, Spread)>,
}

impl BarChart {
    /// Draws each bar with characters, as long as the median.
    pub(super) fn text(&self) -> String {
        let longest = self.longest();
        let mut text = format!("{}:\n", self.title);
        for (variant, spread) in &self.bars {
            let eighths = (spread.median / longest * (COLUMNS * 8) as f64).round() as usize;
            let mut bar = "█".repeat(eighths / 8);
            bar.extend(EIGHTHS[eighths % 8]);
            let bar = match variant {
                Variant::Stagelink => style(bar).green(),
                _ => style(bar).blue(),
            };
            let name = variant.name();
            text.push_str(&format!("\n  {name:<19}{bar} {:.1} ms", spread.median));
        }
        text
    }

    /// Draws the chart as SVG, with a line from the first quartile to the third over each bar.
    pub(super) fn svg(&self) -> String {
        let (title, longest) = (self.title, self.longest());
        let x = |ms: f64| LEFT + ms / longest * BAR_WIDTH;
        let height = TOP + self.bars.len() as f64 * ROW + BOTTOM;
        let mut drawn = String::new();
        for (place, (variant, spread)) in self.bars.iter().enumerate() {
            let top = TOP + place as f64 * ROW;
            let middle = top + BAR / 2.0;
            let colour = match variant {
                Variant::Stagelink => OWN_COLOUR,
                _ => COLOUR,
            };
            let (low, high) = (x(spread.first_quartile), x(spread.third_quartile));
            drawn.push_str(&format!(
                r##"  <text x="{name_x}" y="{text_y:.1}" text-anchor="end">{name}</text>
  <rect x="{LEFT}" y="{top:.1}" width="{width:.1}" height="{BAR}" rx="2" fill="{colour}"/>
  <path d="M{low:.1} {middle:.1}H{high:.1}" stroke="#222222" stroke-width="1.5"/>
  <path d="M{low:.1} {tick:.1}v8M{high:.1} {tick:.1}v8" stroke="#222222" stroke-width="1.5"/>
  <text x="{figure_x:.1}" y="{text_y:.1}">{median:.1} ms</text>
"##,
                name = variant.name(),
                name_x = LEFT - 10.0,
                text_y = middle + 5.0,
                width = x(spread.median) - LEFT,
                tick = middle - 4.0,
                figure_x = high.max(x(spread.median)) + 8.0,
                median = spread.median,
            ));
        }
        drawn.push_str(&format!(
            "  <text x=\"10\" y=\"{note_y}\" font-size=\"12\" fill=\"#666666\">{NOTE}</text>\n",
            note_y = height - 12.0,
        ));
        page(title, height, &drawn)
    }

    /// The longest time that the chart shows; never zero.
    fn longest(&self) -> f64 {
        let ends = self.bars.iter().map(|(_, spread)| spread.third_quartile);
        ends.fold(f64::MIN_POSITIVE, f64::max)
    }
}

const NOTE: &str = "Median of all rounds; the thin line spans the middle half of them.";

/// Width of the longest bar, in characters.
const COLUMNS: usize = 70;

/// Partial blocks, by eighths of a character.
const EIGHTHS: [Option<char>; 8] = [
    None,
    Some('▏'),
    Some('▎'),
    Some('▍'),
    Some('▌'),
    Some('▋'),
    Some('▊'),
    Some('▉'),
];

// The measures of the drawing, in pixels.
const BAR_WIDTH: f64 = 480.0;
const TOP: f64 = 44.0;
const ROW: f64 = 34.0;
const BOTTOM: f64 = 32.0;

const OWN_COLOUR: &str = "#2a9d6f";
const COLOUR: &str = "#8fa9c4";

#[cfg(test)]
mod tests {
    use super::*;

    fn bars() -> BarChart {
        let spread = |median: f64| Spread {
            median,
            first_quartile: median - 2.0,
            third_quartile: median + 2.0,
        };
        BarChart {
            title: "Cold start",
            bars: vec![
                (Variant::Stagelink, spread(18.0)),
                (Variant::Node, spread(68.0)),
            ],
        }
    }

    #[test]
    fn text_has_a_bar_as_long_as_the_time() {
        let text = console::strip_ansi_codes(&bars().text()).into_owned();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines[0],
            format!("  stagelink          {} 18.0 ms", "█".repeat(18))
        );
        assert_eq!(
            lines[1],
            format!("  node               {} 68.0 ms", "█".repeat(68))
        );
    }

    #[test]
    fn svg_stays_inside_of_its_frame() {
        let svg = bars().svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<rect").count(), 3);
        // The longest bar ends at its third quartile.
        assert!(svg.contains("M602.6 "), "{svg}");
        assert!(svg.contains("H630.0"), "{svg}");
    }
}
