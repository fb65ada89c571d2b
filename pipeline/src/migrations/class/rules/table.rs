//! The rules with their classes, reasons and safe forms.

use super::super::Class;
use super::{
    ADD_COLUMN_WITH_CONSTRAINT, ADDING_FIELD_WITH_DEFAULT, ADDING_FOREIGN_KEY, ADDING_NOT_NULL,
    ADDING_PRIMARY_KEY, ADDING_REQUIRED_FIELD, ALTERS_OWNER, ALTERS_VIEW_OPTIONS, ATTACH_PARTITION,
    BACKFILL, BAN_ALTER_DOMAIN, BAN_ALTER_GENERATED, BAN_DROP_CONSTRAINT, BAN_DROP_DEFAULT,
    BAN_NEW_WRITE_RESTRICTION, BAN_REPLACE, BAN_SET_DEFAULT, CHANGES_TYPE, CHANGING_COLUMN_TYPE,
    CONCURRENT_INDEX, CONCURRENT_REINDEX, CONSTRAINT_MISSING_NOT_VALID, CREATE_RULE,
    CREATE_TRIGGER, DATA_CHANGE, DELETES_ROWS, DETACH_PARTITION, DISALLOWED_UNIQUE, DOMAIN_COLUMN,
    DROP_OBJECT, DROP_OWNED, HIDES_OBJECT, INHERIT, LOCK_TABLE, LONG_WORK_UNDER_LOCK, OWN_TABLE,
    RECREATE, REFRESH_VIEW, REWRITE_TABLE, RUNNER_SETTING, RUNS_CODE, Rule, RuleSource,
    SERIAL_COLUMN, SEVERAL_TABLES, SHARED_OBJECT, SYNTAX_ERROR, TRANSACTION_CONTROL, TRUNCATE,
    UNKNOWN_STATEMENT, UNKNOWN_TABLE, WHOLE_ROW_USE,
};

const fn squawk(
    name: &'static str,
    class: Class,
    reason: &'static str,
    safe_form: &'static str,
) -> Rule {
    Rule {
        name,
        class,
        source: RuleSource::Squawk,
        is_about_duration: false,
        reason,
        safe_form,
    }
}

const fn own(
    name: &'static str,
    class: Class,
    reason: &'static str,
    safe_form: &'static str,
) -> Rule {
    Rule {
        source: RuleSource::Stagelink,
        ..squawk(name, class, reason, safe_form)
    }
}

/// A rule about a lock that lasts.
const fn lasts(rule: Rule) -> Rule {
    Rule {
        is_about_duration: true,
        ..rule
    }
}

/// All rules: first those that stop, then those for after, then those that ask.
pub const RULES: &[Rule] = &[
    lasts(squawk(
        CONCURRENT_INDEX,
        Class::Stop,
        "writers of the table wait while the index is built",
        "CREATE INDEX CONCURRENTLY, alone in its file",
    )),
    lasts(squawk(
        CONCURRENT_REINDEX,
        Class::Stop,
        "writers of the table, and readers of the index, wait while it is built",
        "REINDEX … CONCURRENTLY, alone in its file",
    )),
    lasts(squawk(
        CONSTRAINT_MISSING_NOT_VALID,
        Class::Stop,
        "the table is locked while all rows are checked",
        "ADD CONSTRAINT … NOT VALID, and VALIDATE CONSTRAINT in a later file",
    )),
    lasts(squawk(
        ADDING_FOREIGN_KEY,
        Class::Stop,
        "writers of both tables wait while all rows are checked",
        "ADD CONSTRAINT … FOREIGN KEY … NOT VALID, and VALIDATE CONSTRAINT in a later file",
    )),
    lasts(squawk(
        ADDING_NOT_NULL,
        Class::Stop,
        "readers and writers wait while all rows are checked for NULL",
        "ADD CONSTRAINT … CHECK (column IS NOT NULL) NOT VALID; VALIDATE CONSTRAINT in a later file; \
         then SET NOT NULL, which looks at no row, and DROP CONSTRAINT",
    )),
    lasts(squawk(
        DISALLOWED_UNIQUE,
        Class::Stop,
        "readers and writers wait while the index is built",
        "CREATE UNIQUE INDEX CONCURRENTLY, alone in its file; then ADD CONSTRAINT … UNIQUE USING INDEX",
    )),
    lasts(squawk(
        ADDING_PRIMARY_KEY,
        Class::Stop,
        "readers and writers wait while the index is built",
        "CREATE UNIQUE INDEX CONCURRENTLY, alone in its file; make its columns NOT NULL; then ADD \
         CONSTRAINT … PRIMARY KEY USING INDEX",
    )),
    lasts(squawk(
        ADDING_FIELD_WITH_DEFAULT,
        Class::Stop,
        "readers and writers wait while every row gets a value of its own",
        "ADD COLUMN without the default; ALTER COLUMN … SET DEFAULT; fill the old rows in batches",
    )),
    lasts(own(
        SERIAL_COLUMN,
        Class::Stop,
        "readers and writers wait while every row gets a number of its own",
        "ADD COLUMN … bigint; CREATE SEQUENCE … OWNED BY the column; ALTER COLUMN … SET DEFAULT \
         nextval(…); fill the old rows in batches",
    )),
    lasts(own(
        DOMAIN_COLUMN,
        Class::Stop,
        "readers and writers wait while every row is rewritten to check the domain's constraints",
        "ADD COLUMN of the domain's base type, with a CHECK … NOT VALID that is validated later",
    )),
    lasts(own(
        ADD_COLUMN_WITH_CONSTRAINT,
        Class::Stop,
        "readers and writers wait while all rows are checked or indexed",
        "ADD COLUMN without the constraint; then ADD CONSTRAINT … NOT VALID, or CREATE UNIQUE INDEX \
         CONCURRENTLY, each in a file of its own",
    )),
    squawk(
        ADDING_REQUIRED_FIELD,
        Class::Stop,
        "it fails on a table with rows, and the INSERT of the code that runs now fails after it",
        "ADD COLUMN with a constant DEFAULT, or without NOT NULL",
    ),
    lasts(squawk(
        CHANGING_COLUMN_TYPE,
        Class::Stop,
        "readers and writers wait while every row is rewritten or checked",
        "ADD COLUMN of the new type; write both; fill the old rows in batches; read the new one; DROP \
         COLUMN of the old one",
    )),
    lasts(own(
        REWRITE_TABLE,
        Class::Stop,
        "readers and writers wait while the table is written anew",
        "leave it out of the migrations: run pg_repack, or VACUUM FULL in a maintenance window",
    )),
    lasts(own(
        BACKFILL,
        Class::Stop,
        "all rows are locked and written in one transaction, and old ones stay until VACUUM",
        "batches of some thousand rows, each in a transaction of its own, by a script",
    )),
    own(
        ATTACH_PARTITION,
        Class::Stop,
        "the new partition, and a default partition, are locked while all rows are checked",
        "first ADD CONSTRAINT … CHECK that implies the bounds, NOT VALID, and VALIDATE CONSTRAINT",
    ),
    lasts(own(
        DETACH_PARTITION,
        Class::Stop,
        "writers of the tables that reference the partitioned table wait while their rows are checked",
        "DETACH PARTITION … in a maintenance window; or first DROP CONSTRAINT of the foreign keys",
    )),
    lasts(own(
        REFRESH_VIEW,
        Class::Stop,
        "readers of the view wait while its query runs",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index",
    )),
    lasts(own(
        LONG_WORK_UNDER_LOCK,
        Class::Stop,
        "an earlier statement of the file locks a table or rows, and this one takes its time meanwhile",
        "a file of its own for this statement",
    )),
    lasts(squawk(
        BAN_ALTER_DOMAIN,
        Class::Stop,
        "writers of all tables with the domain wait while their rows are checked",
        "ADD CONSTRAINT … NOT VALID, which is left so: VALIDATE CONSTRAINT keeps the same writers \
         waiting; for old rows a CHECK of each table",
    )),
    own(
        SEVERAL_TABLES,
        Class::Stop,
        "the file locks several tables, and the users of one wait while it waits for another",
        "a file for each table",
    ),
    own(
        LOCK_TABLE,
        Class::Stop,
        "readers or writers wait until the file is done",
        "leave it out: each statement takes the lock that it needs",
    ),
    own(
        TRUNCATE,
        Class::Stop,
        "all rows are gone for the code that runs now, and readers wait for the lock",
        "DROP TABLE in an after file, or DELETE in batches by a script",
    ),
    own(
        DROP_OWNED,
        Class::Stop,
        "all that a role owns is gone, and so are its privileges, also on what databases share",
        "DROP of each object, and REVOKE of each privilege, in an after file",
    ),
    own(
        TRANSACTION_CONTROL,
        Class::Stop,
        "the runner begins and ends the transaction of a file",
        "leave it out; a file with one statement that Postgres refuses in a transaction has none",
    ),
    squawk(
        "ban-drop-database",
        Class::Stop,
        "a database is lost",
        "leave it out of the migrations",
    ),
    squawk(
        "ban-drop-column",
        Class::After,
        "the code that runs now may still use the column",
        "the statement in an after file; before it, code that does not name the column",
    ),
    squawk(
        "ban-drop-table",
        Class::After,
        "the code that runs now may use the table",
        "the statement in an after file; before it, code that does not use the table",
    ),
    squawk(
        "renaming-column",
        Class::After,
        "the code that runs now uses the old name, and the new code the new one",
        "ADD COLUMN with the new name; write both; fill the old rows in batches; read the new one; \
         DROP COLUMN of the old one",
    ),
    squawk(
        "renaming-table",
        Class::After,
        "the code that runs now uses the old name, and the new code the new one",
        "a view with the new name for the new code; RENAME in an after file, which drops the view",
    ),
    squawk(
        "renaming-object",
        Class::After,
        "the code that runs now may use the old name",
        "the statement in an after file",
    ),
    squawk(
        "ban-set-schema",
        Class::After,
        "the code that runs now may not find the object in its new schema",
        "the statement in an after file",
    ),
    own(
        CHANGES_TYPE,
        Class::After,
        "the code that runs now reads and writes the old type",
        "ADD COLUMN of the new type; write both; read the new one; DROP COLUMN of the old one",
    ),
    squawk(
        BAN_NEW_WRITE_RESTRICTION,
        Class::After,
        "the database may refuse what the code that runs now writes",
        "the statement in an after file; before it, code that writes what the new rule accepts",
    ),
    squawk(
        BAN_DROP_CONSTRAINT,
        Class::After,
        "ON CONFLICT of the code that runs now may need the constraint, or its logic may rely on it",
        "the statement in an after file",
    ),
    squawk(
        BAN_DROP_DEFAULT,
        Class::After,
        "the INSERT of the code that runs now may leave the column out",
        "the statement in an after file",
    ),
    squawk(
        BAN_SET_DEFAULT,
        Class::After,
        "the INSERT of the code that runs now that leaves the column out gets another value, or is refused",
        "the statement in an after file",
    ),
    own(
        WHOLE_ROW_USE,
        Class::After,
        "code of the database uses the table's rows as wholes: with one more column it may fail, or do otherwise",
        "the statement in an after file; or, before it, columns by their names in that code",
    ),
    own(
        DELETES_ROWS,
        Class::After,
        "the code that runs now may need the rows",
        "the statement in an after file",
    ),
    squawk(
        "ban-drop-index",
        Class::After,
        "queries of the code that runs now may need the index",
        "DROP INDEX CONCURRENTLY, alone in an after file",
    ),
    squawk(
        "require-concurrent-index-deletion",
        Class::After,
        "readers and writers wait for the lock on the table",
        "DROP INDEX CONCURRENTLY, alone in an after file",
    ),
    squawk(
        "require-concurrent-partition-detach",
        Class::After,
        "readers and writers of the whole partitioned table wait for the lock",
        "DETACH PARTITION … CONCURRENTLY, alone in an after file",
    ),
    squawk(
        "ban-detach-inheritance",
        Class::After,
        "the code that runs now no longer finds the rows by the parent",
        "the statement in an after file",
    ),
    own(
        HIDES_OBJECT,
        Class::After,
        "the code that runs now may get the new object by a name that means another one",
        "another name; or the statement in an after file",
    ),
    own(
        INHERIT,
        Class::After,
        "the code that runs now finds the child's rows by the parent",
        "the statement in an after file",
    ),
    own(
        CREATE_TRIGGER,
        Class::After,
        "the writes of the code that runs now run the trigger",
        "the statement in an after file",
    ),
    squawk(
        "ban-drop-trigger",
        Class::After,
        "the code that runs now may rely on the trigger",
        "the statement in an after file",
    ),
    squawk(
        "ban-disable-trigger",
        Class::After,
        "other triggers run for the writes of the code that runs now",
        "the statement in an after file",
    ),
    own(
        CREATE_RULE,
        Class::After,
        "the queries of the code that runs now are rewritten by the rule",
        "the statement in an after file",
    ),
    squawk(
        "ban-create-policy",
        Class::After,
        "the code that runs now may see or write other rows",
        "the statement in an after file",
    ),
    squawk(
        "ban-drop-policy",
        Class::After,
        "the code that runs now may see or write other rows",
        "the statement in an after file",
    ),
    squawk(
        "ban-alter-policy-condition",
        Class::After,
        "the code that runs now may see or write other rows",
        "the statement in an after file",
    ),
    squawk(
        "ban-alter-policy-roles",
        Class::After,
        "the code that runs now may see or write other rows",
        "the statement in an after file",
    ),
    squawk(
        "ban-alter-row-level-security",
        Class::After,
        "the code that runs now may see or write other rows",
        "the statement in an after file",
    ),
    squawk(
        ALTERS_OWNER,
        Class::After,
        "the role of the code that runs now may lose a privilege",
        "the statement in an after file",
    ),
    squawk(
        "ban-alter-identity",
        Class::After,
        "the INSERT of the code that runs now may fail",
        "the statement in an after file",
    ),
    squawk(
        BAN_ALTER_GENERATED,
        Class::After,
        "the code that runs now reads other values",
        "a new column, and DROP COLUMN of the old one in an after file",
    ),
    squawk(
        "ban-drop-generated-expression",
        Class::After,
        "the column stays empty for rows of the code that runs now",
        "the statement in an after file",
    ),
    squawk(
        ALTERS_VIEW_OPTIONS,
        Class::After,
        "the code that runs now may see or write other rows",
        "the statement in an after file",
    ),
    squawk(
        "ban-drop-view",
        Class::After,
        "the code that runs now may use the view",
        "the statement in an after file",
    ),
    squawk(
        "ban-drop-function",
        Class::After,
        "the code that runs now, a default or a trigger may call the function",
        "the statement in an after file",
    ),
    squawk(
        "ban-drop-type",
        Class::After,
        "the code that runs now may use the type",
        "the statement in an after file",
    ),
    squawk(
        "ban-drop-domain",
        Class::After,
        "the code that runs now may use the domain",
        "the statement in an after file",
    ),
    squawk(
        "ban-drop-schema",
        Class::After,
        "the code that runs now may use what is in the schema",
        "the statement in an after file",
    ),
    squawk(
        "ban-drop-sequence",
        Class::After,
        "the code that runs now may use the sequence",
        "the statement in an after file",
    ),
    squawk(
        "ban-drop-extension",
        Class::After,
        "the code that runs now may use what the extension has",
        "the statement in an after file",
    ),
    own(
        DROP_OBJECT,
        Class::After,
        "the code that runs now may use the object",
        "the statement in an after file",
    ),
    own(
        RECREATE,
        Class::After,
        "the same file drops an object of that name",
        "another name for the new object, and DROP of the old one in an after file",
    ),
    own(
        SYNTAX_ERROR,
        Class::Ask,
        "the parser does not understand the statement, so nothing is known of it",
        "correct it; if Postgres knows a syntax that the parser does not, override the rule",
    ),
    own(
        UNKNOWN_STATEMENT,
        Class::Ask,
        "there is no rule for such a statement",
        "read what it locks and whether the code that runs now bears it, then override the rule",
    ),
    own(
        UNKNOWN_TABLE,
        Class::Ask,
        "the database has no table of that name, so its size and its users are not known",
        "the schema before the name; or a look at the table, then override the rule",
    ),
    own(
        RUNS_CODE,
        Class::Ask,
        "it runs code that cannot be read here",
        "plain statements; or read the code, then override the rule",
    ),
    own(
        OWN_TABLE,
        Class::Ask,
        "it uses a table in which stagelink keeps the history, the records, the schema, deploys or leases",
        "leave it out: the commands of stagelink change these tables",
    ),
    own(
        SHARED_OBJECT,
        Class::Ask,
        "it changes roles, or privileges on a database, a tablespace or a setting: these are no part of the schema, and other databases and programs of the server share them",
        "do it by hand",
    ),
    lasts(own(
        DATA_CHANGE,
        Class::Ask,
        "it changes rows, and their number is not known",
        "batches by a script; or a bound that keeps it small, then override the rule",
    )),
    own(
        RUNNER_SETTING,
        Class::Ask,
        "it changes the limits or the role with which the runner works",
        "leave it out: the runner sets its time limits",
    ),
    squawk(
        BAN_REPLACE,
        Class::Ask,
        "the code that runs now gets the new behaviour at once",
        "a new name for the new behaviour; or compare both, then override the rule",
    ),
    squawk(
        "ban-truncate-cascade",
        Class::Stop,
        "the rows of all tables that reference it are gone too",
        "name the tables, in an after file",
    ),
    squawk(
        "ban-add-composite-attribute",
        Class::Ask,
        "the code that runs now gets values of another shape, and tables with the type may be rewritten",
        "a new type",
    ),
    squawk(
        "ban-alter-function-options",
        Class::Ask,
        "the code that runs now gets the new behaviour at once",
        "a new name for the new behaviour; or compare both, then override the rule",
    ),
    squawk(
        "ban-alter-role-options",
        Class::Ask,
        "the sessions of all stages and programs with the role change",
        "do it by hand",
    ),
    squawk(
        "ban-alter-database-options",
        Class::Ask,
        "all new sessions of the database change",
        "do it by hand",
    ),
    squawk(
        "ban-alter-system-options",
        Class::Ask,
        "the whole server changes",
        "do it by hand",
    ),
    squawk(
        "ban-alter-extension",
        Class::Ask,
        "the script of the extension is not known",
        "read the extension's notes, then override the rule",
    ),
    squawk(
        "ban-alter-sequence-values",
        Class::Ask,
        "numbers that the code that runs now gets may collide with old ones",
        "compare with the largest number, then override the rule",
    ),
    squawk(
        "ban-replica-identity",
        Class::Ask,
        "a subscriber may no longer find the rows of an UPDATE",
        "read which subscribers there are, then override the rule",
    ),
];
