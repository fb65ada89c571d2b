//! The frame of an SVG file, and the measures that all charts share.

/// Returns an SVG file of this height, with a title above the drawing.
pub(super) fn page(title: &str, height: f64, drawn: &str) -> String {
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="14" fill="#222222">
  <title>{title}</title>
  <rect width="100%" height="100%" fill="#ffffff"/>
  <text x="10" y="24" font-size="16">{title}</text>
{drawn}</svg>
"##
    )
}

// Measures, in pixels.
const WIDTH: f64 = 720.0;
/// Left end of the bars, with room for a name before them.
pub(super) const LEFT: f64 = 150.0;
/// Thickness of a bar.
pub(super) const BAR: f64 = 22.0;
