//! Code that sees a table's rows: one that cannot be read is never *before*, and one that names its columns is.

use super::*;

const ADD: &str = "ALTER TABLE big ADD COLUMN c int";
const SET: &str = "ALTER TABLE big ALTER COLUMN n SET DEFAULT 0";

/// A shop whose large table has a trigger with a function in a language.
fn with_trigger(language: &str, body: &str) -> TargetFacts {
    let mut facts = shop();
    let routine = RoutineFacts {
        name: public("sync"),
        language: language.to_owned(),
        body: Some(body.to_owned()),
        types: ["trigger".to_owned()].into(),
        rows: Vec::new(),
        definition: None,
        effects: RoutineEffects::Unknown,
    };
    facts.bodies.insert(1, routine);
    let trigger = TriggerFacts {
        name: "tr".to_owned(),
        function: 1,
        function_name: "sync".to_owned(),
        is_provided: false,
        definition:
            "CREATE TRIGGER tr BEFORE INSERT ON public.big FOR EACH ROW EXECUTE FUNCTION sync()"
                .to_owned(),
    };
    let big = facts.relations.get_mut(&public("big"));
    big.expect("the table").seen_by.triggers.push(trigger);
    facts
}

#[test]
fn function_of_a_trigger_is_read_or_counts_as_what_fails() {
    for (language, body, class) in [
        ("plpgsql", "BEGIN NEW.a := now(); RETURN NEW; END", Before),
        (
            "plpgsql",
            "BEGIN INSERT INTO log SELECT NEW.*; RETURN NEW; END",
            After,
        ),
        (
            "plpgsql",
            "BEGIN EXECUTE 'SELECT 1'; RETURN NEW; END",
            After,
        ),
        ("plpgsql", "BEGIN RETURN NEW; -- 'END", Before),
        ("plpgsql", "BEGIN RETURN 'NEW; END", After),
        ("plpython3u", "TD['new']['a'] = 1", After),
        ("c", "sync", After),
    ] {
        let facts = with_trigger(language, body);
        assert_eq!(last(ADD, &facts).class, class, "{language}: {body}");
        assert_eq!(last(SET, &facts).class, class, "{language}: {body}");
    }
    let facts = with_trigger("plpgsql", "BEGIN NEW.n := 10 / NEW.n; RETURN NEW; END");
    assert_eq!(last(ADD, &facts).class, Before);
    assert_eq!(last(SET, &facts).class, After);
}

#[test]
fn finding_names_the_code_and_the_part_of_it() {
    let facts = with_trigger(
        "plpgsql",
        "BEGIN INSERT INTO log SELECT NEW.*; RETURN NEW; END",
    );
    let judged = last(ADD, &facts);
    assert_eq!(rules_of(&judged), ["whole-row-use"]);
    assert_eq!(
        judged.findings[0].safe_form,
        "the statement in an after file; or, first, columns by their names in the trigger tr (sync() has \
         into log select new.*)"
    );
    // No code of before writes into a table of the same file.
    let new = "CREATE TABLE n (a int); CREATE TRIGGER t BEFORE INSERT ON n FOR EACH ROW EXECUTE FUNCTION sync(); \
               ALTER TABLE n ADD COLUMN c int";
    assert_eq!(last(new, &facts).class, Before);
}

#[test]
fn trigger_of_an_extension_is_before_if_its_arguments_name_its_columns() {
    for (function, class) in [("moddatetime", Before), ("versioning", After)] {
        let mut facts = with_trigger("c", "x");
        let big = facts.relations.get_mut(&public("big")).expect("the table");
        let trigger = &mut big.seen_by.triggers[0];
        trigger.is_provided = true;
        trigger.function_name = function.to_owned();
        assert_eq!(last(ADD, &facts).class, class, "{function}");
    }
}

#[test]
fn foreign_table_below_gets_a_column_that_its_server_has_not() {
    let mut facts = shop();
    let foreign = RelationFacts {
        kind: RelationKind::Other,
        ..RelationFacts::default()
    };
    facts.relations.insert(public("far"), foreign);
    let big = facts.relations.get_mut(&public("big"));
    big.expect("the table").children.push(public("far"));
    assert_eq!(last(ADD, &facts).class, After);
    assert_eq!(last(SET, &facts).class, After);
}

#[test]
fn without_a_database_a_new_column_is_needed() {
    // The list in an artifact is judged so: it needs its columns.
    assert_eq!(last(ADD, &TargetFacts::unknown()).class, Before);
    assert_eq!(last(SET, &TargetFacts::unknown()).class, After);
}

#[test]
fn sequence_is_known_by_its_limits_and_its_users() {
    let with = |writers: &[&str], users: &[&str]| {
        let mut facts = shop();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let big = facts.relations.get_mut(&public("big")).expect("the table");
        big.seen_by.writers = names(writers);
        let sequence = facts.sequences.get_mut(&public("s")).expect("the sequence");
        sequence.users = names(users);
        facts
    };
    let set =
        "ALTER TABLE big ADD COLUMN c bigint; ALTER TABLE big ALTER c SET DEFAULT nextval('s')";
    for (writers, users, class) in [
        (&["app"][..], &["app", "owner"][..], Before),
        (&["app", "job"], &["app"], After),
        (&["app"], &[""], Before),
        (&[""], &["app"], After),
    ] {
        assert_eq!(
            last(set, &with(writers, users)).class,
            class,
            "{writers:?} {users:?}"
        );
    }
    let int = "ALTER TABLE big ADD COLUMN c int; ALTER TABLE big ALTER c SET DEFAULT nextval('s')";
    assert_eq!(last(int, &shop()).class, After);
    let other = "ALTER TABLE big ADD COLUMN c bigint; ALTER TABLE big ALTER c SET DEFAULT nextval('unknown')";
    assert_eq!(last(other, &shop()).class, After);
}
