//! Safe forms of constraints of tables and domains.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::super::draft::{Draft, range_of};
use super::super::facts::ConstraintFacts;
use super::super::syntax::{child, columns, find, has_token, holds};
use super::{SafeFile, SafeForm, name, text_of};
use crate::migrations::statement::ObjectName;

/// The first major version that takes a foreign key `NOT VALID` on a partitioned table.
const PARTITIONED_NOT_VALID: u32 = 18;

/// The first major version in which NOT NULL is a constraint that may be `NOT VALID`.
const NOT_NULL_NOT_VALID: u32 = 18;

/// Returns `ADD CONSTRAINT` with `NOT VALID`, and its validation.
pub(in super::super) fn not_valid(
    draft: &Draft<'_>,
    table: &ObjectName,
    action: &SyntaxNode,
) -> Option<SafeForm> {
    use SyntaxKind as K;
    let constraint = action.children().next()?;
    let is_partitioned = draft
        .scope
        .relation(table)
        .is_some_and(|facts| facts.is_partitioned);
    let is_refused = draft.scope.facts.server_major < Some(PARTITIONED_NOT_VALID);
    if constraint.kind() == K::FOREIGN_KEY_CONSTRAINT && is_partitioned && is_refused {
        let words = "for each partition ADD CONSTRAINT … NOT VALID, and VALIDATE CONSTRAINT in a later \
                     file; then this statement, which takes these, with an override";
        return Some(words.to_owned().into());
    }
    let columns = match constraint.kind() {
        K::FOREIGN_KEY_CONSTRAINT => columns(&child(&constraint, K::FOREIGN_KEY_COLUMN_LIST)?),
        K::NOT_NULL_CONSTRAINT => columns(&constraint),
        _ => single_column(&constraint),
    };
    let label = match constraint.kind() {
        K::FOREIGN_KEY_CONSTRAINT => "fkey",
        K::NOT_NULL_CONSTRAINT => "not_null",
        _ => "check",
    };
    let (name, body) = named(draft, table, &constraint, &columns, label);
    Some(SafeForm::of(validated(
        &table_of(draft, action)?,
        &name,
        &body,
    )))
}

/// Returns the files that add a constraint and validate it.
pub(super) fn validated(table: &str, name: &str, body: &str) -> Vec<SafeFile> {
    vec![
        SafeFile::new([format!(
            "ALTER TABLE {table} ADD CONSTRAINT {name} {body} NOT VALID"
        )]),
        SafeFile::new([format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}")]),
    ]
}

/// Returns the name of a constraint, or the one that Postgres would give it, and the rest of it.
pub(super) fn named(
    draft: &Draft<'_>,
    table: &ObjectName,
    constraint: &SyntaxNode,
    columns: &[String],
    label: &str,
) -> (String, String) {
    let clause = find(constraint, SyntaxKind::CONSTRAINT_NAME_CLAUSE);
    let text = text_of(draft, constraint);
    let given = clause.and_then(|clause| {
        let name = find(&clause, SyntaxKind::CONSTRAINT_NAME)?;
        let rest = text.get(range_of(&clause).len()..)?.trim().to_owned();
        Some((text_of(draft, &name), rest))
    });
    given.unwrap_or_else(|| {
        let name = name::choose(draft.scope, table, columns, label);
        (name.to_string(), text)
    })
}

/// Returns the table as the statement spells it, with `ONLY`.
pub(super) fn table_of(draft: &Draft<'_>, action: &SyntaxNode) -> Option<String> {
    let statement = action.parent()?;
    let table = child(&statement, SyntaxKind::TABLE_RELATION_NAME)?;
    Some(text_of(draft, &table))
}

/// A `CHECK` is named after its column if it has one alone.
fn single_column(check: &SyntaxNode) -> Vec<String> {
    let names = super::super::syntax::names_under(check, &[SyntaxKind::NAME_REF]);
    let mut names: Vec<String> = names.into_iter().map(|name| name.name).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() == 1 { names } else { Vec::new() }
}

/// Returns the steps to `SET NOT NULL`. The column is spelled as in the statement.
pub(in super::super) fn not_null(
    draft: &Draft<'_>,
    table: &ObjectName,
    action: &SyntaxNode,
) -> Option<SafeForm> {
    let column = find(action, SyntaxKind::COLUMN_NAME_REF)?;
    let files = not_null_files(
        draft,
        table,
        &table_of(draft, action)?,
        &text_of(draft, &column),
    );
    Some(SafeForm::of(files))
}

fn not_null_files(
    draft: &Draft<'_>,
    table: &ObjectName,
    spelled: &str,
    column: &str,
) -> Vec<SafeFile> {
    let columns = [crate::migrations::statement::fold_name(column)];
    let check = name::choose(draft.scope, table, &columns, "not_null");
    if draft.scope.facts.server_major >= Some(NOT_NULL_NOT_VALID) {
        return validated(spelled, &check.to_string(), &format!("NOT NULL {column}"));
    }
    vec![
        SafeFile::new([format!(
            "ALTER TABLE {spelled} ADD CONSTRAINT {check} CHECK ({column} IS NOT NULL) NOT VALID"
        )]),
        SafeFile::new([
            format!("ALTER TABLE {spelled} VALIDATE CONSTRAINT {check}"),
            format!("ALTER TABLE {spelled} ALTER COLUMN {column} SET NOT NULL"),
        ]),
        SafeFile::new([format!("ALTER TABLE {spelled} DROP CONSTRAINT {check}")]),
    ]
}

/// Returns the steps to a unique constraint.
pub(in super::super) fn unique(
    draft: &Draft<'_>,
    table: &ObjectName,
    action: &SyntaxNode,
) -> Option<SafeForm> {
    let constraint = child(action, SyntaxKind::UNIQUE_CONSTRAINT)?;
    let spelled = table_of(draft, action)?;
    Some(SafeForm::of(by_index(
        draft,
        table,
        &spelled,
        &constraint,
        &[],
        "key",
    )?))
}

/// Returns the steps to a primary key, whose columns have to be NOT NULL.
pub(in super::super) fn primary_key(
    draft: &Draft<'_>,
    table: &ObjectName,
    action: &SyntaxNode,
) -> Option<SafeForm> {
    let constraint = child(action, SyntaxKind::PRIMARY_KEY_CONSTRAINT)?;
    let spelled = table_of(draft, action)?;
    let mut files = by_index(draft, table, &spelled, &constraint, &[], "pkey")?;
    let last = files.pop()?;
    let list = find(&constraint, SyntaxKind::CONSTRAINT_COLUMN_REF_LIST)?;
    for column in list.children() {
        let column = text_of(draft, &column);
        let folded = crate::migrations::statement::fold_name(&column);
        if !draft.scope.is_proved_not_null(table, &folded) {
            files.extend(not_null_files(draft, table, &spelled, &column));
        }
    }
    files.push(last);
    Some(SafeForm::of(files))
}

/// Returns the files that build a unique index and make a constraint of it, with all clauses of the
/// constraint; `None` where one cannot be carried over. A constraint of a column alone has no list.
pub(super) fn by_index(
    draft: &Draft<'_>,
    table: &ObjectName,
    spelled: &str,
    constraint: &SyntaxNode,
    column: &[String],
    label: &str,
) -> Option<Vec<SafeFile>> {
    use SyntaxKind as K;
    let facts = draft.scope.relation(table);
    // Postgres makes no constraint of a partitioned table from an index.
    if facts.is_some_and(|facts| facts.is_partitioned) || has_token(constraint, K::USING_KW) {
        return None;
    }
    let parameters = find(constraint, K::INDEX_PARAMETERS);
    let mut list = match column {
        [] => None,
        columns => Some(format!("({})", columns.join(", "))),
    };
    let (mut include, mut nulls, mut with, mut tablespace) = Default::default();
    for part in parameters.iter().flat_map(SyntaxNode::children) {
        let text = text_of(draft, &part);
        match part.kind() {
            K::CONSTRAINT_COLUMN_REF_LIST if !holds(&part, K::WITHOUT_KW) => list = Some(text),
            K::CONSTRAINT_INCLUDE_CLAUSE => include = format!(" {text}"),
            K::NULLS_NOT_DISTINCT => nulls = format!(" {text}"),
            K::NULLS_DISTINCT => {}
            K::WITH_PARAMS => with = format!(" {text}"),
            K::CONSTRAINT_INDEX_TABLESPACE => {
                let name = find(&part, K::TABLESPACE_REF)?;
                tablespace = format!(" TABLESPACE {}", text_of(draft, &name));
            }
            _ => return None,
        }
    }
    let after = constraint
        .children()
        .skip_while(|one| one.kind() != K::INDEX_PARAMETERS);
    let options: Vec<String> = after.skip(1).map(|one| text_of(draft, &one)).collect();
    let options = options
        .iter()
        .map(|one| format!(" {one}"))
        .collect::<String>();
    let columns = match column {
        [] => columns(&find(constraint, K::CONSTRAINT_COLUMN_REF_LIST)?),
        columns => columns.to_vec(),
    };
    // A primary key is named after its table alone.
    let named_after: &[String] = if label == "pkey" { &[] } else { &columns };
    let (name, _) = named(draft, table, constraint, named_after, label);
    let kind = if label == "pkey" {
        "PRIMARY KEY"
    } else {
        "UNIQUE"
    };
    let list = list?;
    let (include, nulls): (String, String) = (include, nulls);
    let (with, tablespace): (String, String) = (with, tablespace);
    let without_only = spelled.trim_start_matches("ONLY ");
    Some(vec![
        SafeFile::alone(format!(
            "CREATE UNIQUE INDEX CONCURRENTLY {name} ON {without_only} {list}{include}{nulls}{with}{tablespace}"
        )),
        SafeFile::new([format!(
            "ALTER TABLE {spelled} ADD CONSTRAINT {name} {kind} USING INDEX {name}{options}"
        )]),
    ])
}

/// Returns a foreign key beside the one that is not enforced, and the end of that one.
pub(in super::super) fn enforced(
    draft: &Draft<'_>,
    table: &ObjectName,
    action: &SyntaxNode,
    known: Option<&ConstraintFacts>,
) -> Option<SafeForm> {
    let known = known?;
    let spelled = table_of(draft, action)?;
    let name = name::choose(draft.scope, table, &known.columns, "fkey").to_string();
    let body = known.definition.replace(" NOT ENFORCED", "");
    let body = body.trim_end_matches(" NOT VALID");
    let mut files = validated(&spelled, &name, body);
    let old = ObjectName::new(&known.name);
    files.push(SafeFile::new([format!(
        "ALTER TABLE {spelled} DROP CONSTRAINT {old}"
    )]));
    Some(SafeForm::of(files))
}

/// Returns a constraint of a domain that looks at no row.
pub(in super::super) fn domain(
    draft: &Draft<'_>,
    domain: &ObjectName,
    action: &SyntaxNode,
) -> Option<SafeForm> {
    let spelled = find(&action.parent()?, SyntaxKind::DOMAIN_REF)?;
    let spelled = text_of(draft, &spelled);
    let constraint = match action.kind() {
        SyntaxKind::ADD_CONSTRAINT if find(action, SyntaxKind::NOT_NULL_CONSTRAINT).is_none() => {
            text_of(draft, action)
        }
        SyntaxKind::ADD_CONSTRAINT | SyntaxKind::SET_NOT_NULL => {
            let name = name::choose(draft.scope, domain, &[], "not_null");
            format!("ADD CONSTRAINT {name} CHECK (VALUE IS NOT NULL)")
        }
        _ => return None,
    };
    let statement = format!("ALTER DOMAIN {spelled} {constraint} NOT VALID");
    Some(SafeForm::of(vec![SafeFile::new([statement])]))
}
