//! `CHECK` constraints of columns that the run adds.

use super::*;

#[test]
fn check_that_is_not_known_to_accept_null_is_of_after() {
    for (condition, class) in [
        ("c > 0", Before),
        ("(c > 0 AND c < 9) OR c = 20", Before),
        ("c BETWEEN 1 AND 9", Before),
        ("c IN (1, 2)", Before),
        ("c NOT IN (1, -2)", Before),
        ("NOT c = 5", Before),
        ("c + 1 > 0", Before),
        ("d LIKE 'a%'", Before),
        ("d ~ '^a'", Before),
        ("c IN ((1), (2))", Before),
        // A row, an array and a JSON value with a NULL are none.
        ("ROW(c, 1) = ROW(1, 2)", After),
        ("(c, 1) = (1, 2)", After),
        ("(c, 1) IN ((1, 2))", After),
        ("ARRAY[c] = ARRAY[1]", After),
        ("c = ANY('{}')", After),
        ("ARRAY[1] || c = ARRAY[1]", After),
        ("coalesce(c, 0) > 0", After),
        ("c IS NOT NULL", After),
        ("(c > 0) IS TRUE", After),
        ("c IS DISTINCT FROM NULL", After),
        ("CASE WHEN c > 0 THEN true ELSE false END", After),
        ("c > 0 AND false", After),
        // It fails.
        ("c = 1 / 0", After),
        ("c IN (1, 1 / 0)", After),
        ("c BETWEEN 1 AND 1 / 0", After),
        ("c = 'x'::text::int", After),
    ] {
        let sql = format!(
            "ALTER TABLE big ADD COLUMN c int, ADD COLUMN d text; \
             ALTER TABLE big ADD CONSTRAINT k CHECK ({condition}) NOT VALID"
        );
        assert_eq!(last(&sql, &shop()).class, class, "{condition}");
    }
}
