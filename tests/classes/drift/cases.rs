//! Changes of a schema, a row for each: the differences that it makes, or the reason why it makes none.

/// A change of [the schema](super::SCHEMA) with those before it.
pub(super) struct Case {
    /// The kind of object.
    pub(super) object: &'static str,
    /// The property of the object that changes.
    pub(super) aspect: &'static str,
    /// The version of Postgres from which on the change is possible.
    pub(super) since: i32,
    pub(super) sql: &'static str,
    /// The starts of the differences, in their order.
    pub(super) differences: &'static [&'static str],
}

const fn since_15(
    object: &'static str,
    aspect: &'static str,
    sql: &'static str,
    differences: &'static [&'static str],
) -> Case {
    Case {
        object,
        aspect,
        since: 15,
        sql,
        differences,
    }
}

const fn since_18(
    object: &'static str,
    aspect: &'static str,
    sql: &'static str,
    differences: &'static [&'static str],
) -> Case {
    Case {
        since: 18,
        ..since_15(object, aspect, sql, differences)
    }
}

/// The changes that are seen, grouped by the kind of object.
pub(super) const SEEN: &[Case] = &[
    since_15(
        "schema",
        "name",
        "CREATE SCHEMA extra",
        &["schema extra is unexpected"],
    ),
    since_15(
        "extension",
        "name",
        "CREATE EXTENSION citext",
        &["extension citext is unexpected"],
    ),
    since_15(
        "table",
        "name",
        "CREATE TABLE added (id serial PRIMARY KEY, a text UNIQUE)",
        &["table public.added is unexpected"],
    ),
    since_15(
        "table",
        "UNLOGGED",
        "ALTER TABLE cache SET LOGGED",
        &["table public.cache is plain, expected UNLOGGED"],
    ),
    since_15(
        "table",
        "parents",
        "ALTER TABLE child NO INHERIT cache",
        &["table public.child is plain, expected child of public.cache"],
    ),
    since_15(
        "table",
        "composite type",
        "ALTER TABLE typed NOT OF",
        &["table public.typed is plain, expected OF public.pair"],
    ),
    since_15(
        "table",
        "partition bounds",
        "ALTER TABLE parts DETACH PARTITION parts_1; \
         ALTER TABLE parts ATTACH PARTITION parts_1 FOR VALUES FROM (1) TO (900)",
        &["table public.parts_1 is child of public.parts, FOR VALUES FROM ('1') TO ('900')"],
    ),
    since_15(
        "table",
        "partition strategy",
        "DROP TABLE parts_2; CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (1000) TO (2000) \
         PARTITION BY HASH (id)",
        &["table public.parts_2 is PARTITION BY HASH (id), child of public.parts"],
    ),
    since_15(
        "table",
        "detached partitions",
        "ALTER TABLE parts DETACH PARTITION parts_rest",
        &[
            "constraint public.parts_rest.parts_person_fkey is unexpected",
            "constraint public.parts_rest.parts_rest_pkey is unexpected",
            "index public.parts_rest_person_idx is unexpected",
            "table public.parts_rest is plain, expected child of public.parts, DEFAULT",
        ],
    ),
    since_15(
        "table",
        "row security",
        "ALTER TABLE people ENABLE ROW LEVEL SECURITY",
        &["table public.people is ROW LEVEL SECURITY, expected plain"],
    ),
    since_15(
        "table",
        "forced row security",
        "ALTER TABLE people FORCE ROW LEVEL SECURITY",
        &["table public.people is ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY, expected"],
    ),
    since_15(
        "table",
        "replica identity",
        "ALTER TABLE cache REPLICA IDENTITY FULL",
        &["table public.cache is REPLICA IDENTITY FULL, expected plain"],
    ),
    since_15(
        "table",
        "replica identity",
        "ALTER TABLE cache REPLICA IDENTITY USING INDEX cache_pkey",
        &["table public.cache is REPLICA IDENTITY USING INDEX public.cache_pkey, expected"],
    ),
    since_15(
        "table",
        "storage parameters",
        "ALTER TABLE typed SET (fillfactor = 70, toast.autovacuum_enabled = off)",
        &[
            "table public.typed is WITH (fillfactor=70, toast.autovacuum_enabled=off), expected plain",
        ],
    ),
    since_15(
        "column",
        "name",
        "ALTER TABLE people ADD COLUMN c int",
        &["column public.people.c is unexpected (integer)"],
    ),
    since_15(
        "column",
        "type",
        "ALTER TABLE people ALTER c TYPE bigint",
        &["column public.people.c is bigint, expected integer"],
    ),
    since_15(
        "column",
        "NOT NULL",
        "ALTER TABLE people ALTER mail SET NOT NULL",
        &["column public.people.mail is text NOT NULL, expected text"],
    ),
    since_15(
        "column",
        "default",
        "ALTER TABLE people ALTER c SET DEFAULT 1",
        &["column public.people.c is bigint DEFAULT 1, expected bigint"],
    ),
    since_15(
        "column",
        "collation",
        "ALTER TABLE keywords ADD t text; ALTER TABLE keywords ALTER t TYPE text COLLATE app.plain",
        &["column public.keywords.t is unexpected (text COLLATE app.plain)"],
    ),
    since_15(
        "column",
        "generated expression",
        "ALTER TABLE people ALTER lower_mail DROP EXPRESSION",
        &[
            "column public.people.lower_mail is text, expected text GENERATED ALWAYS AS (lower(mail)) STORED",
        ],
    ),
    since_18(
        "column",
        "generated expression",
        "ALTER TABLE people ADD v int GENERATED ALWAYS AS (1 + 1)",
        &["column public.people.v is unexpected (integer GENERATED ALWAYS AS ((1 + 1)) VIRTUAL)"],
    ),
    since_15(
        "column",
        "identity",
        "ALTER TABLE people ALTER id SET GENERATED BY DEFAULT",
        &["column public.people.id is bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY, expected"],
    ),
    since_15(
        "column",
        "options of an identity's sequence",
        "ALTER TABLE people ALTER id SET INCREMENT 5 SET CACHE 10",
        &[
            "column public.people.id is bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY (INCREMENT 5 CACHE 10)",
        ],
    ),
    since_15(
        "column",
        "options of an identity's sequence",
        "ALTER SEQUENCE people_small_seq RENAME TO small_numbers",
        &[
            "column public.people.small is smallint NOT NULL GENERATED BY DEFAULT AS IDENTITY \
           (SEQUENCE NAME public.small_numbers START -2 INCREMENT -1 MINVALUE -9 CYCLE)",
        ],
    ),
    since_15(
        "column",
        "storage",
        "ALTER TABLE people ALTER data SET STORAGE EXTERNAL",
        &["column public.people.data is jsonb STORAGE EXTERNAL, expected jsonb"],
    ),
    since_15(
        "column",
        "compression",
        "ALTER TABLE people ALTER data SET COMPRESSION pglz",
        &["column public.people.data is jsonb STORAGE EXTERNAL COMPRESSION pglz, expected"],
    ),
    since_15(
        "column",
        "statistics target",
        "ALTER TABLE people ALTER at SET STATISTICS 500",
        &["column public.people.at is timestamp with time zone DEFAULT now() STATISTICS 500"],
    ),
    since_15(
        "column",
        "options",
        "ALTER TABLE people ALTER age SET (n_distinct = 5)",
        &["column public.people.age is public.positive WITH (n_distinct=5), expected"],
    ),
    since_15(
        "constraint",
        "definition",
        "ALTER TABLE people ADD CONSTRAINT grown CHECK (c > 18)",
        &["constraint public.people.grown is unexpected (CHECK ((c > 18)))"],
    ),
    since_15(
        "constraint",
        "definition",
        "ALTER TABLE people DROP CONSTRAINT people_mail_key",
        &["constraint public.people.people_mail_key is missing (UNIQUE (mail))"],
    ),
    since_15(
        "constraint",
        "exclusion",
        "ALTER TABLE people DROP CONSTRAINT people_int8range_excl",
        &["constraint public.people.people_int8range_excl is missing (EXCLUDE USING gist"],
    ),
    since_15(
        "constraint",
        "NOT VALID",
        "ALTER TABLE app.notes VALIDATE CONSTRAINT short",
        &["constraint app.notes.short is CHECK"],
    ),
    since_18(
        "constraint",
        "NOT VALID",
        "ALTER TABLE people ADD CONSTRAINT at_set NOT NULL at NOT VALID",
        &[
            "column public.people.at is timestamp with time zone NOT NULL",
            "constraint public.people.at_set is unexpected (NOT NULL at NOT VALID)",
        ],
    ),
    since_18(
        "constraint",
        "NOT ENFORCED",
        "ALTER TABLE app.notes ALTER CONSTRAINT notes_person_fkey NOT ENFORCED",
        &["constraint app.notes.notes_person_fkey is FOREIGN KEY"],
    ),
    since_18(
        "constraint",
        "NOT ENFORCED",
        "ALTER TABLE app.notes ALTER CONSTRAINT notes_person_fkey ENFORCED",
        &["constraint app.notes.notes_person_fkey is FOREIGN KEY"],
    ),
    since_15(
        "constraint",
        "DEFERRABLE",
        "ALTER TABLE app.notes ALTER CONSTRAINT notes_person_fkey DEFERRABLE",
        &[
            "constraint app.notes.notes_person_fkey is FOREIGN KEY (person) REFERENCES public.people(id) \
           ON DELETE CASCADE DEFERRABLE, expected",
        ],
    ),
    since_15(
        "constraint",
        "disabled triggers of a foreign key",
        "ALTER TABLE app.notes DISABLE TRIGGER ALL",
        &[
            "constraint app.notes.notes_person_fkey is FOREIGN KEY (person) REFERENCES public.people(id) \
           ON DELETE CASCADE DEFERRABLE WITH DISABLED TRIGGERS, expected",
        ],
    ),
    since_15(
        "constraint",
        "storage parameters",
        "ALTER INDEX app.notes_pkey SET (fillfactor = 60)",
        &["constraint app.notes.notes_pkey is PRIMARY KEY (id) WITH (fillfactor=60), expected"],
    ),
    since_15(
        "constraint",
        "CLUSTER",
        "ALTER TABLE app.notes CLUSTER ON notes_pkey",
        &[
            "constraint app.notes.notes_pkey is PRIMARY KEY (id) WITH (fillfactor=60) CLUSTERED, expected",
        ],
    ),
    since_15(
        "constraint",
        "constraints of domains",
        "ALTER DOMAIN positive ADD CONSTRAINT small CHECK (VALUE < 200)",
        &["constraint public.positive.small is unexpected"],
    ),
    since_15(
        "index",
        "definition",
        "CREATE INDEX by_hand ON people (at)",
        &["index public.by_hand is unexpected (CREATE INDEX by_hand ON public.people"],
    ),
    since_15(
        "index",
        "validity",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_hand'::regclass",
        &[
            "index public.by_hand is CREATE INDEX by_hand ON public.people USING btree (at) INVALID, \
           expected",
        ],
    ),
    since_15(
        "index",
        "definition",
        "DROP INDEX by_hand",
        &["index public.by_hand is missing"],
    ),
    since_15(
        "index",
        "storage parameters",
        "ALTER INDEX app.notes_text SET (fillfactor = 50)",
        &["index app.notes_text is"],
    ),
    since_15(
        "index",
        "statistics target",
        "ALTER INDEX app.notes_text ALTER COLUMN 1 SET STATISTICS 300",
        &["index app.notes_text is"],
    ),
    since_15(
        "index",
        "CLUSTER",
        "ALTER TABLE people CLUSTER ON people_pkey; CREATE INDEX clustered ON child (extra); \
         ALTER TABLE child CLUSTER ON clustered",
        &[
            "constraint public.people.people_pkey is PRIMARY KEY (id) CLUSTERED",
            "index public.clustered is unexpected (CREATE INDEX clustered ON public.child USING btree \
             (extra) CLUSTERED)",
        ],
    ),
    since_15(
        "statistics",
        "definition",
        "DROP STATISTICS people_name_role; CREATE STATISTICS people_name_role (mcv) ON name, role FROM people",
        &["statistics public.people_name_role is CREATE STATISTICS public.people_name_role (mcv)"],
    ),
    since_15(
        "statistics",
        "statistics target",
        "ALTER STATISTICS app.people_lower SET STATISTICS 400",
        &["statistics app.people_lower is CREATE STATISTICS"],
    ),
    since_15(
        "view",
        "query",
        "CREATE OR REPLACE VIEW one AS SELECT id, name AS \"Full name\" FROM people WHERE age > 4 ORDER BY id",
        &["view public.one is"],
    ),
    since_15(
        "view",
        "schemas of tables",
        "CREATE OR REPLACE VIEW moved AS SELECT id, text FROM other.notes WHERE person IN (SELECT person FROM other.notes)",
        &["view public.moved is SELECT id, text FROM other.notes WHERE"],
    ),
    since_15(
        "view",
        "schemas of tables",
        "CREATE OR REPLACE VIEW moved AS SELECT id, text FROM other.notes WHERE person IN (SELECT person FROM app.notes)",
        &["view public.moved is"],
    ),
    since_15(
        "view",
        "tables of columns",
        "CREATE OR REPLACE VIEW joined AS SELECT y.id, y.text FROM app.notes x JOIN other.notes y ON x.person = y.person",
        &["view public.joined is SELECT y.id, y.text"],
    ),
    since_15(
        "view",
        "options",
        "ALTER VIEW two RESET (security_barrier)",
        &["view public.two is SELECT"],
    ),
    since_15(
        "view",
        "defaults of columns",
        "ALTER VIEW one ALTER id SET DEFAULT 1",
        &["column public.one.id is bigint DEFAULT 1, expected bigint"],
    ),
    since_15(
        "materialized view",
        "query",
        "DROP MATERIALIZED VIEW copies; CREATE MATERIALIZED VIEW copies AS SELECT name FROM people",
        &[
            "index public.copies_name is missing",
            "materialized view public.copies is SELECT name",
        ],
    ),
    since_15(
        "policy",
        "expressions",
        "ALTER POLICY all_of_it ON app.notes WITH CHECK (text <> 'x')",
        &["policy app.notes.all_of_it is RESTRICTIVE FOR ALL TO PUBLIC WITH CHECK"],
    ),
    since_15(
        "policy",
        "roles",
        "ALTER POLICY own ON app.notes TO PUBLIC",
        &["policy app.notes.own is PERMISSIVE FOR SELECT TO PUBLIC USING"],
    ),
    since_15(
        "trigger",
        "definition",
        "CREATE TRIGGER more BEFORE INSERT ON people EXECUTE FUNCTION touch()",
        &["trigger public.people.more is unexpected (CREATE TRIGGER more BEFORE INSERT"],
    ),
    since_15(
        "trigger",
        "enabled state",
        "ALTER TABLE people ENABLE TRIGGER touched",
        &["trigger public.people.touched is"],
    ),
    since_15(
        "trigger",
        "enabled state",
        "ALTER TABLE people ENABLE ALWAYS TRIGGER touched",
        &["trigger public.people.touched is"],
    ),
    since_15(
        "trigger",
        "enabled state in a partition",
        "ALTER TABLE parts_1 DISABLE TRIGGER parts_touched",
        &[
            "trigger public.parts_1.parts_touched is unexpected (CREATE TRIGGER parts_touched BEFORE UPDATE \
           ON public.parts_1",
        ],
    ),
    since_15(
        "rule",
        "schemas of tables",
        "CREATE OR REPLACE RULE logged AS ON UPDATE TO app.notes WHERE new.text <> old.text \
         DO ALSO INSERT INTO app.notes (id, person, text) VALUES (new.id, old.person, new.text)",
        &["rule app.notes.logged is"],
    ),
    since_15(
        "rule",
        "enabled state",
        "ALTER TABLE cache DISABLE RULE quiet",
        &["rule public.cache.quiet is DISABLED CREATE RULE quiet"],
    ),
    since_15(
        "function",
        "body",
        "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        &[
            "function public.touch() is () RETURNS trigger LANGUAGE plpgsql VOLATILE AS BEGIN RETURN NEW",
        ],
    ),
    since_15(
        "function",
        "schemas of tables in a body of SQL",
        "CREATE OR REPLACE FUNCTION app.note(wanted uuid) RETURNS text LANGUAGE sql STABLE \
         BEGIN ATOMIC SELECT text FROM other.notes WHERE id = wanted; END",
        &["function app.note(wanted uuid) is"],
    ),
    since_15(
        "function",
        "options",
        "ALTER FUNCTION touch SECURITY DEFINER",
        &[
            "function public.touch() is () RETURNS trigger LANGUAGE plpgsql VOLATILE SECURITY DEFINER",
        ],
    ),
    since_15(
        "function",
        "cost and rows",
        "ALTER FUNCTION app.ids COST 50 ROWS 20",
        &["function app.ids() is () RETURNS SETOF bigint LANGUAGE sql VOLATILE COST 50 ROWS 20"],
    ),
    since_15(
        "function",
        "defaults of arguments",
        "CREATE OR REPLACE FUNCTION total(more int DEFAULT 2) RETURNS bigint LANGUAGE sql STABLE \
         BEGIN ATOMIC SELECT count(*) + more FROM people; END",
        &["function public.total(more integer) is (more integer DEFAULT 2) RETURNS bigint"],
    ),
    since_15(
        "procedure",
        "body",
        "CREATE OR REPLACE PROCEDURE app.clean_all() LANGUAGE sql BEGIN ATOMIC DELETE FROM other.notes; END",
        &["procedure app.clean_all() is"],
    ),
    since_15(
        "aggregate",
        "parts",
        "CREATE OR REPLACE AGGREGATE sum_of (int) (SFUNC = int4pl, STYPE = int, INITCOND = '5')",
        &["aggregate public.sum_of(integer) is"],
    ),
    since_15(
        "aggregate",
        "parts",
        "CREATE OR REPLACE AGGREGATE sum_of (int) (SFUNC = int4pl, STYPE = int, INITCOND = '5', \
         FINALFUNC = int4abs, COMBINEFUNC = int4pl)",
        &["aggregate public.sum_of(integer) is"],
    ),
    since_15(
        "operator",
        "definition",
        "ALTER OPERATOR app.~~~ (pair, pair) SET (RESTRICT = eqsel)",
        &[
            "operator app.~~~(public.pair, public.pair) is FUNCTION public.same_pair(public.pair,public.pair)",
        ],
    ),
    since_15(
        "cast",
        "definition",
        "DROP CAST (int AS pair); CREATE CAST (int AS pair) WITH FUNCTION pair_of(int) AS ASSIGNMENT",
        &[
            "cast integer AS public.pair is WITH FUNCTION public.pair_of(integer) AS ASSIGNMENT, expected",
        ],
    ),
    since_15(
        "type",
        "labels of an enum",
        "ALTER TYPE app.mood ADD VALUE 'new' BEFORE 'bad'",
        &["type app.mood is ENUM ('ok', 'new', 'bad'"],
    ),
    since_15(
        "type",
        "fields of a composite type",
        "CREATE TYPE trio AS (a int, b text COLLATE \"C\")",
        &["type public.trio is unexpected ((a integer, b text COLLATE \"C\"))"],
    ),
    since_15(
        "type",
        "fields of a composite type",
        "ALTER TYPE trio ALTER ATTRIBUTE b TYPE text COLLATE app.plain",
        &["type public.trio is (a integer, b text COLLATE app.plain), expected"],
    ),
    since_15(
        "type",
        "a domain's NOT NULL and default",
        "ALTER DOMAIN positive DROP NOT NULL",
        &["type public.positive is DOMAIN integer DEFAULT 1, expected"],
    ),
    since_15(
        "type",
        "a range's parts",
        "DROP TYPE text_span; CREATE TYPE text_span AS RANGE (subtype = text, collation = \"C\", \
         subtype_opclass = text_pattern_ops, multirange_type_name = spans)",
        &[
            "type public.text_span is RANGE OF text SUBTYPE_OPCLASS pg_catalog.text_pattern_ops \
           COLLATION \"C\" MULTIRANGE_TYPE_NAME public.spans, expected",
        ],
    ),
    since_15(
        "sequence",
        "options",
        "ALTER SEQUENCE free_numbers NO CYCLE",
        &["sequence public.free_numbers is"],
    ),
    since_15(
        "sequence",
        "owning column",
        "ALTER SEQUENCE free_numbers OWNED BY people.age",
        &["sequence public.free_numbers is"],
    ),
    since_15(
        "sequence",
        "options",
        "ALTER SEQUENCE people_old_seq MAXVALUE 99",
        &["sequence public.people_old_seq is integer START 1 INCREMENT 1 MINVALUE 1 MAXVALUE 99"],
    ),
    since_15(
        "collation",
        "definition",
        "CREATE COLLATION app.more (provider = icu, locale = 'de')",
        &["collation app.more is unexpected (PROVIDER icu, LOCALE 'de')"],
    ),
    since_15(
        "text search configuration",
        "dictionaries",
        "ALTER TEXT SEARCH CONFIGURATION app.words ALTER MAPPING FOR word WITH app.plain_words, simple",
        &["text search configuration app.words is … "],
    ),
    since_15(
        "text search dictionary",
        "options",
        "ALTER TEXT SEARCH DICTIONARY app.plain_words (ACCEPT = false)",
        &["text search dictionary app.plain_words is TEMPLATE pg_catalog.simple"],
    ),
    since_15(
        "foreign server",
        "names of options",
        "ALTER SERVER elsewhere OPTIONS (ADD port '5')",
        &[
            "foreign server elsewhere is FOREIGN DATA WRAPPER wrapper TYPE 'a' OPTIONS (host, password, \
           port), expected",
        ],
    ),
    since_15(
        "foreign table",
        "server and names",
        "ALTER FOREIGN TABLE far OPTIONS (SET table_name 'near')",
        &[
            "foreign table public.far is SERVER elsewhere, OPTIONS (password, table_name 'near'), expected",
        ],
    ),
    since_15(
        "foreign table",
        "server and names",
        "ALTER FOREIGN TABLE far ALTER id OPTIONS (SET column_name 'Id')",
        &["column public.far.id is integer OPTIONS (column_name 'Id'), expected"],
    ),
    since_15(
        "publication",
        "tables",
        "ALTER PUBLICATION changes SET TABLE people (id)",
        &["publication changes is FOR TABLE public.people (id) WITH (insert), expected"],
    ),
    since_15(
        "publication",
        "options",
        "ALTER PUBLICATION changes SET (publish = 'insert, delete')",
        &["publication changes is FOR TABLE public.people (id) WITH (insert, delete), expected"],
    ),
    since_15(
        "event trigger",
        "definition",
        "DROP EVENT TRIGGER on_ddl; CREATE EVENT TRIGGER on_ddl ON sql_drop EXECUTE FUNCTION app.on_ddl()",
        &["event trigger on_ddl is ON sql_drop EXECUTE FUNCTION app.on_ddl, expected"],
    ),
    since_15(
        "event trigger",
        "enabled state",
        "ALTER EVENT TRIGGER on_ddl DISABLE",
        &["event trigger on_ddl is ON sql_drop EXECUTE FUNCTION app.on_ddl DISABLED, expected"],
    ),
    since_15(
        "table",
        "name",
        "DROP TABLE parts",
        &[
            "table public.parts is missing",
            "table public.parts_1 is missing",
            "table public.parts_2",
        ],
    ),
];

/// A part of the schema that is left out.
pub(super) struct LeftOut {
    pub(super) what: &'static str,
    pub(super) reason: &'static str,
    /// Changes that show no difference.
    pub(super) changes: &'static [&'static str],
}

/// The parts that are left out, with the reasons.
pub(super) const LEFT_OUT: &[LeftOut] = &[
    LeftOut {
        what: "rows, and what is counted of them",
        reason: "migrations and drift are about the schema",
        changes: &[
            "INSERT INTO people (name, mail, age, c) VALUES ('a', 'a', 1, 20)",
            "ANALYZE people",
            "SELECT nextval('free_numbers')",
            "REFRESH MATERIALIZED VIEW copies",
            "REINDEX TABLE people",
        ],
    },
    LeftOut {
        what: "comments",
        reason: "no statement does something else because of one",
        changes: &[
            "COMMENT ON TABLE people IS 'x'",
            "COMMENT ON COLUMN people.id IS 'x'",
        ],
    },
    LeftOut {
        what: "owners, privileges and default privileges",
        reason: "roles are each stage's own, and credentials of the provider come and go",
        changes: &[
            "ALTER TABLE cache OWNER TO pg_monitor",
            "GRANT SELECT ON people TO PUBLIC",
            "GRANT UPDATE (name) ON people TO PUBLIC",
            "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
        ],
    },
    LeftOut {
        what: "settings of a database or role",
        reason: "they are the stage's, and no dump of a schema has them",
        changes: &[
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''8MB''', current_database()); END $$",
        ],
    },
    LeftOut {
        what: "the order of columns, and columns that were dropped",
        reason: "code that names its columns has no use for it",
        changes: &[
            "ALTER TABLE people ADD COLUMN gone int; ALTER TABLE people DROP COLUMN gone",
            "ALTER TABLE keywords DROP merge_action, DROP json_exists; \
             ALTER TABLE keywords ADD json_exists int DEFAULT 1, ADD merge_action int",
        ],
    },
    LeftOut {
        what: "the values of options of foreign servers, and user mappings",
        reason: "passwords may be among them, and each stage leads to a server of its own; of a foreign \
                 table and its columns `schema_name`, `table_name` and `column_name` are compared",
        changes: &[
            "ALTER SERVER elsewhere OPTIONS (SET host 'canary-other', SET password 'canary-other')",
            "ALTER FOREIGN TABLE far OPTIONS (SET password 'canary-other')",
            "ALTER USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (SET password 'canary-other')",
        ],
    },
    LeftOut {
        what: "subscriptions",
        reason: "they hold passwords, and belong to a stage",
        changes: &[
            "CREATE SUBSCRIPTION taken CONNECTION 'host=canary password=canary' PUBLICATION changes \
             WITH (connect = false, slot_name = NONE)",
            "DROP SUBSCRIPTION taken",
        ],
    },
    LeftOut {
        what: "version, schema and members of an extension",
        reason: "they come with the version of Postgres, and with the provider",
        changes: &["ALTER EXTENSION citext SET SCHEMA other"],
    },
    LeftOut {
        what: "versions of collations",
        reason: "they are those of the server's libraries",
        changes: &["ALTER COLLATION app.numbers REFRESH VERSION"],
    },
    LeftOut {
        what: "what a superuser alone creates, but event triggers: base types, operator classes and \
               families, conversions, languages, access methods, tablespaces, text search parsers and \
               templates, foreign data wrappers",
        reason: "hosted Postgres allows them through extensions only",
        changes: &[
            "CREATE OPERATOR FAMILY app.family USING btree",
            "CREATE CONVERSION app.conversion FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
            "CREATE FOREIGN DATA WRAPPER other_wrapper",
            "CREATE TYPE app.shell",
        ],
    },
    LeftOut {
        what: "temporary tables, and the tables of migrations",
        reason: "they are not made by the files",
        changes: &[
            "CREATE TEMP TABLE mine (id serial PRIMARY KEY)",
            "CREATE TABLE refinery_schema_history (version int4 PRIMARY KEY)",
        ],
    },
];
