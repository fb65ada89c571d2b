//! Safe forms of new columns.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::super::column_type::ColumnType;
use super::super::draft::{Draft, range_of};
use super::super::syntax::{child, find};
use super::constraint::{by_index, named, table_of, validated};
use super::{SafeFile, SafeForm, name, text_of};
use crate::migrations::statement::{ObjectName, fold_name};

/// The remark on a column whose old rows are empty.
const FILL: &str = "fill the old rows in batches, by a script";

/// Returns the column without its default, which it gets afterwards.
pub(in super::super) fn with_default(draft: &Draft<'_>, action: &SyntaxNode) -> Option<SafeForm> {
    use SyntaxKind as K;
    let default = child(action, K::DEFAULT_CONSTRAINT)?;
    let removed: Vec<SyntaxNode> = action
        .children()
        .filter(|one| matches!(one.kind(), K::DEFAULT_CONSTRAINT | K::NOT_NULL_CONSTRAINT))
        .collect();
    let table = table_of(draft, action)?;
    let column = text_of(draft, &child(action, K::COLUMN_NAME)?);
    let expression = text_of(draft, &default);
    let statements = [
        format!("ALTER TABLE {table} {}", without(draft, action, &removed)?),
        format!("ALTER TABLE {table} ALTER COLUMN {column} SET {expression}"),
    ];
    Some(SafeForm::of(vec![
        SafeFile::new(statements).with_remark(FILL),
    ]))
}

/// Returns an integer column with a sequence of its own.
pub(in super::super) fn with_serial(
    draft: &Draft<'_>,
    table: &ObjectName,
    action: &SyntaxNode,
    type_node: &SyntaxNode,
) -> Option<SafeForm> {
    let column_type = ColumnType::parse(&text_of(draft, type_node));
    let integer = match column_type.name.as_str() {
        "bigserial" | "serial8" => "bigint",
        "smallserial" | "serial2" => "smallint",
        _ => "int",
    };
    let column = text_of(draft, &child(action, SyntaxKind::COLUMN_NAME)?);
    let has_more = action.children().any(|one| {
        !matches!(
            one.kind(),
            SyntaxKind::COLUMN_NAME | SyntaxKind::NOT_NULL_CONSTRAINT
        ) && range_of(&one) != range_of(type_node)
    });
    if has_more {
        return None;
    }
    let spelled = table_of(draft, action)?;
    let sequence = name::choose(draft.scope, table, &[fold_name(&column)], "seq");
    let sequence = ObjectName {
        schema: table.schema.clone(),
        ..sequence
    };
    let without_only = spelled.trim_start_matches("ONLY ");
    let statements = [
        format!("ALTER TABLE {spelled} ADD COLUMN {column} {integer}"),
        format!("CREATE SEQUENCE {sequence} AS {integer} OWNED BY {without_only}.{column}"),
        format!("ALTER TABLE {spelled} ALTER COLUMN {column} SET DEFAULT nextval('{sequence}')"),
    ];
    Some(SafeForm::of(vec![
        SafeFile::new(statements).with_remark(FILL),
    ]))
}

/// Returns the column without its constraints, which it gets afterwards.
pub(in super::super) fn with_constraint(
    draft: &Draft<'_>,
    table: &ObjectName,
    action: &SyntaxNode,
) -> Option<SafeForm> {
    use SyntaxKind as K;
    let kinds = [
        K::CHECK_CONSTRAINT,
        K::UNIQUE_CONSTRAINT,
        K::REFERENCES_CONSTRAINT,
    ];
    let removed: Vec<SyntaxNode> = action
        .children()
        .filter(|one| kinds.contains(&one.kind()))
        .collect();
    let others = [
        K::PRIMARY_KEY_CONSTRAINT,
        K::EXCLUDE_CONSTRAINT,
        K::GENERATED_CONSTRAINT,
    ];
    if action.children().any(|one| others.contains(&one.kind())) {
        return None;
    }
    let spelled = table_of(draft, action)?;
    let column = text_of(draft, &child(action, K::COLUMN_NAME)?);
    let columns = [fold_name(&column)];
    let added = format!(
        "ALTER TABLE {spelled} {}",
        without(draft, action, &removed)?
    );
    let mut files = vec![SafeFile::new([added])];
    for constraint in &removed {
        let later = match constraint.kind() {
            K::UNIQUE_CONSTRAINT => {
                let column = std::slice::from_ref(&column);
                by_index(draft, table, &spelled, constraint, column, "key")?
            }
            K::CHECK_CONSTRAINT => {
                let (name, body) = named(draft, table, constraint, &columns, "check");
                validated(&spelled, &name, &body)
            }
            _ => {
                let (name, body) = named(draft, table, constraint, &columns, "fkey");
                validated(&spelled, &name, &format!("FOREIGN KEY ({column}) {body}"))
            }
        };
        files.extend(later);
    }
    Some(SafeForm::of(files))
}

/// Writes an action without some of its parts.
fn without(draft: &Draft<'_>, action: &SyntaxNode, removed: &[SyntaxNode]) -> Option<String> {
    let text = draft.statement.without_comments();
    let range = range_of(action);
    let mut written = String::new();
    let mut at = range.start;
    for part in removed {
        let part = range_of(part);
        written.push_str(text.get(at..part.start)?);
        at = part.end;
    }
    written.push_str(text.get(at..range.end)?);
    // Where a part was, a blank is left over.
    let is_found = find(action, SyntaxKind::LITERAL).is_some();
    let words: Vec<&str> = written.split_whitespace().collect();
    Some(if is_found {
        written.trim().to_owned()
    } else {
        words.join(" ")
    })
}
