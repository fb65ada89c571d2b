//! The answers to the requests of the storms, as stacked bars in an SVG file.

use super::super::svg::{BAR, LEFT, page};
use super::super::variant::Variant;
use super::FailureResults;
use super::connection_storm::{ConnectionStorm, REQUESTS, Target};

impl FailureResults {
    /// Draws a bar for each variant and storm, as long as all of its requests.
    pub(in super::super) fn svg(&self) -> String {
        let mut drawn = legend();
        let mut top = TOP;
        for target in Target::ALL {
            let mut storms = self.at(target).peekable();
            let Some(title) = storms.peek().map(|storm| storm.place()) else {
                continue;
            };
            drawn.push_str(&format!(
                "  <text x=\"10\" y=\"{y:.1}\" font-size=\"15\">A storm {title}</text>\n",
                y = top + 14.0,
            ));
            top += HEADING;
            for storm in storms {
                drawn.push_str(&bar(storm, top));
                top += ROW;
            }
            top += GAP;
        }
        page(TITLE, top, &drawn)
    }
}

fn bar(storm: &ConnectionStorm, top: f64) -> String {
    let middle = top + BAR / 2.0 + 5.0;
    let all = (storm.instances * REQUESTS).max(1) as f64;
    let mut drawn = format!(
        "  <text x=\"{x}\" y=\"{middle:.1}\" text-anchor=\"end\"{weight}>{name}</text>\n",
        x = LEFT - 10.0,
        weight = match storm.variant {
            Variant::Stagelink => " font-weight=\"bold\"",
            _ => "",
        },
        name = storm.variant.name(),
    );
    let mut left = LEFT;
    for (count, (_, colour)) in parts(storm).into_iter().zip(PARTS) {
        let width = count as f64 / all * BAR_WIDTH;
        if count > 0 {
            drawn.push_str(&format!(
                "  <rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\n",
            ));
        }
        if width > ROOM {
            drawn.push_str(&format!(
                "  <text x=\"{x:.1}\" y=\"{middle:.1}\" text-anchor=\"middle\" fill=\"#ffffff\">{count}</text>\n",
                x = left + width / 2.0,
            ));
        }
        left += width;
    }
    drawn
}

/// The lengths of the segments of a bar, in the order of [`PARTS`].
fn parts(storm: &ConnectionStorm) -> [usize; 4] {
    let tally = &storm.tally;
    [
        tally.good,
        tally.busy,
        tally.failed_in_all(),
        tally.unanswered,
    ]
}

fn legend() -> String {
    let mut drawn = String::new();
    for (place, (name, colour)) in PARTS.into_iter().enumerate() {
        let left = LEFT + place as f64 * LEGEND;
        drawn.push_str(&format!(
            "  <rect x=\"{left}\" y=\"38\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\n  \
             <text x=\"{x}\" y=\"49\" font-size=\"13\">{name}</text>\n",
            x = left + 18.0,
        ));
    }
    drawn
}

const TITLE: &str = "Answers to the requests of many instances at once";

const PARTS: [(&str, &str); 4] = [
    ("200", "#2a9d6f"),
    ("503, retry later", "#8fa9c4"),
    ("errors", "#c8553d"),
    ("no answer", "#555555"),
];

// The measures of the drawing, in pixels.
const BAR_WIDTH: f64 = 550.0;
const TOP: f64 = 64.0;
const HEADING: f64 = 24.0;
const ROW: f64 = 30.0;
const GAP: f64 = 12.0;
const LEGEND: f64 = 140.0;

/// The narrowest segment that shows its number.
const ROOM: f64 = 34.0;

#[cfg(test)]
mod tests {
    use super::super::tables::tests::failures;

    #[test]
    fn parts_of_a_bar_are_as_long_as_all_of_it() {
        let svg = failures().svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        // 240 and 60 of 300 over 550 pixels.
        assert!(
            svg.contains(r#"<rect x="150.0" y="88.0" width="440.0""#),
            "{svg}"
        );
        assert!(
            svg.contains(r#"<rect x="590.0" y="88.0" width="110.0""#),
            "{svg}"
        );
    }
}
