-- What the other queries choose from: the objects that are neither of the server, of an extension, of the
-- provider, nor of stagelink.
WITH member AS MATERIALIZED (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), space AS MATERIALIZED (
    SELECT n.oid, quote_ident(n.nspname) AS name FROM pg_namespace n
    WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
        -- Heroku's own, and where it puts extensions.
        AND n.nspname NOT IN ('_heroku', 'heroku_ext')
        AND NOT EXISTS (SELECT FROM member m
            WHERE m.classid = 'pg_namespace'::regclass AND m.objid = n.oid)
), relation AS MATERIALIZED (
    SELECT c.*, s.name || '.' || quote_ident(c.relname) AS name FROM pg_class c
        JOIN space s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND c.relname NOT IN ('refinery_schema_history', 'stagelink_migration_records',
            'stagelink_schema_snapshot', 'stagelink_leases', 'stagelink_deploys')
        AND NOT EXISTS (SELECT FROM member m
            WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
), own_type AS MATERIALIZED (
    SELECT t.*, s.name || '.' || quote_ident(t.typname) AS name FROM pg_type t
        JOIN space s ON s.oid = t.typnamespace
    WHERE NOT EXISTS (SELECT FROM member m
        WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
), sequence AS MATERIALIZED (
    SELECT q.*, c.relname, c.relpersistence, s.name || '.' || quote_ident(c.relname) AS name,
        d.deptype, d.refobjid, d.refobjsubid,
        CASE q.seqtypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647
            ELSE 9223372036854775807 END AS largest
    FROM pg_sequence q
        JOIN pg_class c ON c.oid = q.seqrelid
        JOIN space s ON s.oid = c.relnamespace
        LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = q.seqrelid
            AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
            AND d.deptype IN ('a', 'i')
    WHERE NOT EXISTS (SELECT FROM member m
        WHERE m.classid = 'pg_class'::regclass AND m.objid = q.seqrelid)
)
