//! A drawing in an SVG file: what all of them have in common.

/// A drawing of this height, with its title above what is drawn.
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
/// Where bars begin, with room for a name before them.
pub(super) const LEFT: f64 = 150.0;
/// How thick a bar is.
pub(super) const BAR: f64 = 22.0;
