//! Changes of one row, by its primary key.

use super::*;

#[test]
fn change_of_one_row_by_its_whole_primary_key_is_before() {
    let mut facts = shop();
    let big = facts.relations.get_mut(&public("big")).expect("a table");
    let mut key = constraint("k", ConstraintKind::PrimaryKey, "id", "PRIMARY KEY (id, a)");
    key.columns = vec!["id".to_owned(), "a".to_owned()];
    big.constraints.push(key);
    // Nothing refers to it.
    facts.relations.remove(&public("small"));
    let asks: &[&str] = &["data-change"];
    let deletes: &[&str] = &["data-change", "deletes-rows"];
    check(
        &facts,
        &[
            ("UPDATE big SET b = 1 WHERE id = 5 AND a = 'x'", Before, &[]),
            (
                "DELETE FROM big WHERE a = 'x' and \"id\" = 5 -- one",
                Before,
                &[],
            ),
            ("UPDATE big SET b = 1 WHERE id = 5", Ask, asks),
            ("UPDATE big SET b = 1 WHERE id = 5 OR a = 'x'", Ask, asks),
            ("UPDATE big SET b = 1 WHERE id >= 5 AND a = 'x'", Ask, asks),
            ("UPDATE big SET b = 1 WHERE id = id AND a = 'x'", Ask, asks),
            (
                "UPDATE big SET b = 1 WHERE NOT (id = 5 AND a = 'x')",
                Ask,
                asks,
            ),
            (
                "ALTER TABLE big DROP CONSTRAINT k; UPDATE big SET b = 1 WHERE id = 5 AND a = 'x'",
                Stop,
                &["data-change", "long-work-under-lock"],
            ),
        ],
    );
    let big = facts.relations.get_mut(&public("big")).expect("a table");
    big.has_triggers = true;
    check(
        &facts,
        &[("DELETE FROM big WHERE id = 5 AND a = 'x'", Ask, deletes)],
    );
    // Rows that refer to a row may be deleted with it.
    let mut facts = shop();
    let big = facts.relations.get_mut(&public("big")).expect("a table");
    let key = constraint("k", ConstraintKind::PrimaryKey, "id", "PRIMARY KEY (id)");
    big.constraints.push(key);
    check(
        &facts,
        &[
            ("UPDATE big SET b = 1 WHERE id = 5", Before, &[]),
            ("DELETE FROM big WHERE id = 5", Ask, deletes),
        ],
    );
}
