//! Safe forms in a statement's own names.

mod column;
mod constraint;
mod index;
mod name;

use squawk_syntax::SyntaxNode;

pub(super) use self::column::{with_constraint, with_default, with_serial};
pub(super) use self::constraint::{domain, enforced, not_null, not_valid, primary_key, unique};
pub(super) use self::index::{concurrent_index, concurrent_reindex, drop_index, refresh};
use super::draft::{Draft, range_of};
use super::safe_files::{ALONE, SafeFile, SafeForm};

/// Returns the text of a node, with blanks for comments.
fn text_of(draft: &Draft<'_>, node: &SyntaxNode) -> String {
    let text = draft.statement.without_comments();
    text.get(range_of(node))
        .unwrap_or_default()
        .trim()
        .to_owned()
}
