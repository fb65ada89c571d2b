//! Statements that lock nothing for long, and after which writes of the code that runs now may fail.

use super::*;

#[test]
fn index_whose_expression_may_fail_is_of_after() {
    let after = &["ban-new-write-restriction"][..];
    check(
        &shop(),
        &[
            ("CREATE INDEX CONCURRENTLY i ON big ((1 / b))", After, after),
            (
                "CREATE INDEX CONCURRENTLY i ON big ((a::int))",
                After,
                after,
            ),
            (
                "CREATE INDEX CONCURRENTLY i ON big (CAST(a AS int))",
                After,
                after,
            ),
            (
                "CREATE INDEX CONCURRENTLY i ON big (((a::jsonb ->> 'x')))",
                After,
                after,
            ),
            ("CREATE INDEX CONCURRENTLY i ON big (f(a))", After, after),
            (
                "CREATE INDEX CONCURRENTLY i ON big (public.lower(a))",
                After,
                after,
            ),
            (
                "CREATE INDEX CONCURRENTLY i ON big (id) WHERE a::int > 0",
                After,
                after,
            ),
            (
                "CREATE INDEX CONCURRENTLY i ON small (a) WHERE b * 2 > id",
                After,
                after,
            ),
            ("CREATE INDEX CONCURRENTLY i ON big (lower(a))", Before, &[]),
            ("CREATE INDEX CONCURRENTLY i ON big ((a || v))", Before, &[]),
            (
                "CREATE INDEX CONCURRENTLY i ON big ((a ->> 'x'))",
                Before,
                &[],
            ),
            (
                "CREATE INDEX CONCURRENTLY i ON big (a) WHERE b > 0 AND a IS NOT NULL",
                Before,
                &[],
            ),
            (
                "CREATE INDEX CONCURRENTLY i ON big (lower(v::text))",
                Before,
                &[],
            ),
            (
                "CREATE INDEX CONCURRENTLY i ON big (a) WHERE a > '5'::text",
                Before,
                &[],
            ),
            (
                "CREATE TABLE n (a text); CREATE INDEX ON n ((a::int))",
                Before,
                &[],
            ),
        ],
    );
}

#[test]
fn index_of_a_column_that_the_run_adds_is_of_before() {
    // The column is NULL in what the code that runs now writes.
    let files = [
        "ALTER TABLE big ADD COLUMN c text",
        "CREATE INDEX CONCURRENTLY i ON big ((c::int))",
    ];
    let files = files.map(statements);
    let judged = judge_files(&[&files[0], &files[1]], &shop());
    assert_eq!(judged[1].statements[0].class, Before);
}

#[test]
fn constraint_of_an_index_that_is_checked_later_is_of_after() {
    let after = &["ban-new-write-restriction"][..];
    let unique = "ALTER TABLE big ADD CONSTRAINT u UNIQUE USING INDEX big_nn";
    for (options, class, rules) in [
        (" NOT DEFERRABLE", Before, &[][..]),
        // ON CONFLICT does not take it any more.
        (" DEFERRABLE", After, after),
        (" DEFERRABLE INITIALLY IMMEDIATE", After, after),
        (" INITIALLY DEFERRED", After, after),
    ] {
        let sql = format!("{unique}{options}");
        check(&shop(), &[(sql.as_str(), class, rules)]);
    }
}

#[test]
fn option_of_a_view_is_of_after_by_either_statement() {
    let after = &["ban-alter-view-options"][..];
    check(
        &shop(),
        &[
            ("ALTER TABLE v SET (security_invoker = true)", After, after),
            ("ALTER TABLE v SET (check_option = cascaded)", After, after),
            ("ALTER TABLE v RESET (security_barrier)", After, after),
            ("ALTER VIEW v SET (security_invoker = true)", After, after),
            ("ALTER TABLE big SET (fillfactor = 90)", Before, &[]),
            (
                "ALTER TABLE mv SET (fillfactor = 90)",
                Ask,
                &["unknown-statement"],
            ),
            (
                "ALTER MATERIALIZED VIEW mv SET (fillfactor = 90)",
                Ask,
                &["unknown-statement"],
            ),
            (
                "ALTER TABLE mv ADD COLUMN c int",
                Ask,
                &["unknown-statement"],
            ),
            ("ALTER TABLE v ALTER COLUMN a SET DEFAULT 7", After, after),
            (
                "ALTER VIEW v ALTER COLUMN a SET DEFAULT 7",
                After,
                &["ban-set-default"],
            ),
        ],
    );
}

#[test]
fn setting_that_ends_the_runners_own_limits_is_asked_about() {
    for name in [
        "tcp_user_timeout",
        "transaction_read_only",
        "default_transaction_deferrable",
    ] {
        let sql = format!("SET {name} = 0");
        check(&shop(), &[(sql.as_str(), Ask, &["runner-setting"])]);
    }
}
