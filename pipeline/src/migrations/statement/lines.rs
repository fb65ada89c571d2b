//! The lines of a file, by the places at which they begin.

/// The places at which the lines of a text begin.
#[derive(Debug)]
pub(super) struct LineStarts(Vec<usize>);

impl LineStarts {
    /// Looks through the text once, however many places are asked for later.
    pub(super) fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate();
        let after_ends = ends
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(after_ends).collect())
    }

    /// Returns the line of a place in bytes, from 1.
    pub(super) fn line_of(&self, at: usize) -> usize {
        self.0.partition_point(|start| *start <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_the_number_of_line_breaks_before_a_place() {
        for text in ["", "a", "\n", "a\nb", "a\r\n\nb\n", "\n\n", "ä\nö\n"] {
            let lines = LineStarts::of(text);
            for at in 0..=text.len() {
                let before = text.bytes().take(at).filter(|byte| *byte == b'\n');
                assert_eq!(lines.line_of(at), 1 + before.count(), "{text:?} at {at}");
            }
        }
    }
}
