//! Bodies, and the uses of whole rows in them.

use super::*;

/// The usual trigger of a table with the time of its last change.
const UPDATED_AT: &str = "BEGIN NEW.updated_at := now(); RETURN NEW; END";

fn whole(body: &str) -> Option<RowUse> {
    BodyText::parse(body).use_of_trigger_rows()
}

#[test]
fn trigger_that_names_its_columns_uses_no_whole_row() {
    for body in [
        UPDATED_AT,
        "BEGIN\n  NEW.\"updatedAt\" = CURRENT_TIMESTAMP;\n  RETURN NEW;\nEND;",
        "BEGIN IF NEW.a <> OLD.a THEN NEW.n := NEW.n * 2; END IF; RETURN NEW; END",
        "BEGIN IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN COALESCE(NEW, OLD); END",
        "BEGIN INSERT INTO log (id, at) VALUES (NEW.id, now()); RETURN NULL; END",
        "-- to_jsonb(NEW)\nBEGIN /* NEW.* */ PERFORM pg_notify('new', NEW.id::text); RETURN NEW; END",
        "BEGIN RAISE NOTICE 'NEW'; RETURN new; END",
        // Audit logs and notifications, for which one more key is what they are for.
        "BEGIN INSERT INTO log VALUES (to_jsonb(NEW)); RETURN NEW; END",
        "BEGIN INSERT INTO log (op, row) VALUES (TG_OP, row_to_json(OLD)::text); RETURN OLD; END",
        "BEGIN INSERT INTO log SELECT NEW.id, to_jsonb(NEW) - 'updated_at'; RETURN NEW; END",
        "DECLARE now jsonb; BEGIN now := to_jsonb(NEW); INSERT INTO log VALUES (now); RETURN NEW; END",
        "BEGIN PERFORM pg_notify('t', row_to_json(NEW, true)::text); RETURN NULL; END",
        "BEGIN INSERT INTO log VALUES (jsonb_build_object('old', to_jsonb(OLD), 'new', to_jsonb(NEW))); RETURN NEW; END",
        "BEGIN INSERT INTO log VALUES (hstore(NEW) - hstore(OLD)); RETURN NEW; END",
    ] {
        assert_eq!(whole(body), None, "{body}");
    }
}

#[test]
fn row_that_is_a_value_is_used_as_a_whole() {
    for body in [
        "BEGIN INSERT INTO log SELECT NEW.*; RETURN NEW; END",
        "BEGIN INSERT INTO log VALUES (NEW.*); RETURN NEW; END",
        "BEGIN INSERT INTO log VALUES ((NEW).*); RETURN NEW; END",
        "BEGIN INSERT INTO log SELECT key FROM jsonb_object_keys(to_jsonb(NEW)); RETURN NEW; END",
        "BEGIN IF to_jsonb(NEW) ->> 'a' = 'x' THEN RETURN NULL; END IF; RETURN NEW; END",
        "BEGIN INSERT INTO log VALUES (md5(to_jsonb(NEW)::text)); RETURN NEW; END",
        "BEGIN INSERT INTO log VALUES (jsonb_populate_record(NULL::log, to_jsonb(NEW))); RETURN NEW; END",
        "BEGIN INSERT INTO log SELECT (jsonb_each(coalesce(to_jsonb(NEW)))).key; RETURN NEW; END",
        "BEGIN NEW := jsonb_populate_record(NEW, '{}'); RETURN NEW; END",
        "DECLARE r record; BEGIN r := NEW; RETURN NEW; END",
        "BEGIN EXECUTE 'SELECT ($1).a' USING NEW; RETURN NEW; END",
        "BEGIN IF NEW IS NOT NULL THEN RETURN NEW; END IF; RETURN OLD; END",
        "BEGIN RETURN NEW || hstore(OLD); END",
        "BEGIN PERFORM audit(NEW); RETURN NULL; END",
        "BEGIN IF NEW IS DISTINCT FROM OLD THEN INSERT INTO log SELECT OLD.*; END IF; RETURN NEW; END",
    ] {
        assert!(
            matches!(whole(body), Some(RowUse::Whole(_))),
            "{body}: {:?}",
            whole(body)
        );
    }
}

#[test]
fn rows_that_are_compared_are_told_from_those_that_are_values() {
    for body in [
        "BEGIN IF NEW IS DISTINCT FROM OLD THEN NEW.a := 1; END IF; RETURN NEW; END",
        "BEGIN IF NEW.* IS NOT DISTINCT FROM OLD.* THEN RETURN NULL; END IF; RETURN NEW; END",
        "BEGIN IF (ROW(NEW.*) IS DISTINCT FROM ROW(OLD.*)) THEN NEW.a := 1; END IF; RETURN NEW; END",
    ] {
        assert_eq!(whole(body), Some(RowUse::Compared), "{body}");
    }
    let definition = "CREATE TRIGGER t BEFORE UPDATE ON public.a FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) \
                      EXECUTE FUNCTION touch('new')";
    let condition = BodyText::of_condition(definition);
    assert_eq!(condition.use_of_trigger_rows(), Some(RowUse::Compared));
    let definition = "CREATE TRIGGER t AFTER INSERT ON public.a REFERENCING NEW TABLE AS added OLD TABLE AS \
                      \"Gone\" FOR EACH STATEMENT EXECUTE FUNCTION touch()";
    assert_eq!(
        BodyText::of_condition(definition).use_of_trigger_rows(),
        None
    );
    let tables = BodyText::transition_tables(definition);
    assert_eq!(tables, [ObjectName::new("added"), ObjectName::new("Gone")]);
}

#[test]
fn body_that_uses_whole_rows_of_a_table() {
    let users = [ObjectName::in_schema("public", "users")];
    for (body, is_whole) in [
        ("SELECT id, name FROM users WHERE id = 1", false),
        ("SELECT * FROM users", true),
        ("SELECT * FROM public.users", true),
        ("SELECT * FROM other.users", false),
        ("SELECT * FROM orders", false),
        ("SELECT u.* FROM users u", true),
        ("SELECT users.* FROM users", true),
        ("SELECT users.id FROM users", false),
        ("SELECT count(*) FROM users", false),
        ("SELECT n * 2 FROM users", false),
        (
            "SELECT 1 FROM orders WHERE EXISTS (SELECT * FROM users WHERE id = 1)",
            false,
        ),
        ("UPDATE users SET a = 1 RETURNING *", true),
        ("TABLE users", true),
        ("LOCK TABLE users IN SHARE MODE", false),
        ("SELECT to_jsonb(u) FROM users u", false),
        ("SELECT to_jsonb(u) FROM users AS u", false),
        ("SELECT to_jsonb(users) FROM users", false),
        ("SELECT u FROM users u", true),
        (
            "SELECT u.id FROM orders o, users u WHERE u.id = o.user_id",
            false,
        ),
        (
            "SELECT u.id FROM orders o JOIN users u ON u.id = o.user_id FOR UPDATE OF u",
            false,
        ),
        ("SELECT o.id, users FROM orders o, users", true),
        ("SELECT o.id FROM orders o NATURAL JOIN users u", true),
        ("SELECT u.id FROM (orders o JOIN users u ON true)", false),
        (
            "INSERT INTO users (a) VALUES (1) ON CONFLICT DO NOTHING",
            false,
        ),
        ("INSERT INTO users SELECT * FROM imported", true),
        ("INSERT INTO users VALUES (1, 'x')", false),
        ("DELETE FROM users USING orders o WHERE o.id = 1", false),
        ("DECLARE u users%ROWTYPE; BEGIN RETURN u.id; END", true),
        ("DECLARE u users; BEGIN RETURN u.id; END", true),
        ("DECLARE i users.id%TYPE; BEGIN RETURN i; END", false),
        (
            "BEGIN UPDATE users SET a = 1; INSERT INTO log SELECT * FROM orders; END",
            false,
        ),
        (
            "BEGIN FOR r IN SELECT * FROM users LOOP NULL; END LOOP; END",
            true,
        ),
        ("SELECT o.users FROM orders o", false),
        ("WITH x AS (SELECT * FROM users) SELECT id FROM x", true),
    ] {
        let found = BodyText::parse(body).use_of_tables(&users, &[]);
        assert_eq!(found.is_some(), is_whole, "{body}: {found:?}");
    }
}

#[test]
fn argument_of_a_row_is_used_by_its_columns_or_as_a_whole() {
    let rows = ["who".to_owned(), "$1".to_owned()];
    for (body, is_whole) in [
        ("SELECT who.a || who.b", false),
        ("SELECT $1.a", false),
        ("SELECT to_jsonb(who)", true),
        ("SELECT to_jsonb($1)", true),
        ("SELECT who.*", true),
    ] {
        let found = BodyText::parse(body).use_of_tables(&[], &rows);
        assert_eq!(found.is_some(), is_whole, "{body}: {found:?}");
    }
}

#[test]
fn bare_name_beside_a_table_may_become_a_column_of_it() {
    let users = [ObjectName::in_schema("public", "users")];
    for (body, may) in [
        ("SELECT id FROM users WHERE id = status", true),
        ("SELECT id FROM users u WHERE u.id = o.status", false),
        ("SELECT status FROM orders; SELECT id FROM users", false),
        ("SELECT id FROM users WHERE status(id)", false),
    ] {
        let found = BodyText::parse(body).has_bare_name_beside(&users, "status");
        assert_eq!(found, may, "{body}");
    }
}

#[test]
fn statement_that_is_a_text_is_dynamic() {
    for (body, is_dynamic) in [
        (UPDATED_AT, false),
        ("BEGIN EXECUTE format('SELECT %s', x); END", true),
        ("BEGIN RETURN QUERY EXECUTE x; END", true),
        ("SELECT query_to_xml('SELECT 1', true, true, '')", true),
        ("BEGIN RAISE NOTICE 'execute'; END", false),
        ("BEGIN x := 'unterminated; END", true),
    ] {
        assert_eq!(BodyText::parse(body).is_dynamic(), is_dynamic, "{body}");
    }
}
