//! A table, for a terminal and as Markdown.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// A table with a title. All columns but the first hold figures.
#[derive(Debug)]
pub(super) struct ResultTable {
    pub(super) title: String,
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl ResultTable {
    pub(super) fn text(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(&self.header)
            .add_rows(&self.rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!("{}:\n{table}", self.title)
    }

    pub(super) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: Vec<String> = (0..self.header.len())
            .map(|column| if column == 0 { "---" } else { "---:" }.to_owned())
            .collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!(
            "## {}\n\n{}{}{rows}",
            self.title,
            line(&self.header),
            line(&rule)
        )
    }
}

/// Placeholder for a figure that was not measured.
pub(super) fn absent() -> String {
    "–".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_has_a_rule_and_a_line_for_each_row() {
        let grid = ResultTable {
            title: "Sizes".to_owned(),
            header: vec!["who".to_owned(), "MB".to_owned()],
            rows: vec![vec!["floor".to_owned(), "2.2".to_owned()]],
        };
        assert_eq!(
            grid.markdown(),
            "## Sizes\n\n| who | MB |\n| --- | ---: |\n| floor | 2.2 |\n"
        );
        assert!(grid.text().starts_with("Sizes:\n┌"));
    }
}
