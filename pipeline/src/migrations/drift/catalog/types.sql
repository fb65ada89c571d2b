SELECT 'type', t.name, '',
    CASE t.typtype
        WHEN 'e' THEN 'ENUM (' || coalesce((
            SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
            FROM pg_enum e WHERE e.enumtypid = t.oid), '') || ')'
        WHEN 'd' THEN concat_ws(' ', 'DOMAIN', format_type(t.typbasetype, t.typtypmod),
            CASE WHEN t.typcollation <> b.typcollation
                THEN 'COLLATE ' || t.typcollation::regcollation END,
            CASE WHEN t.typnotnull THEN 'NOT NULL' END,
            'DEFAULT ' || t.typdefault)
        WHEN 'r' THEN (
            SELECT concat_ws(' ', 'RANGE OF', format_type(g.rngsubtype, NULL),
                CASE WHEN NOT c.opcdefault OR c.opcintype <> g.rngsubtype
                    THEN 'SUBTYPE_OPCLASS ' || n.nspname || '.' || c.opcname END,
                CASE WHEN g.rngcollation <> u.typcollation
                    THEN 'COLLATION ' || g.rngcollation::regcollation END,
                'CANONICAL ' || nullif(g.rngcanonical::oid, 0)::regproc,
                'SUBTYPE_DIFF ' || nullif(g.rngsubdiff::oid, 0)::regproc,
                'MULTIRANGE_TYPE_NAME ' || format_type(g.rngmultitypid, NULL))
            FROM pg_range g
                JOIN pg_type u ON u.oid = g.rngsubtype
                JOIN pg_opclass c ON c.oid = g.rngsubopc
                JOIN pg_namespace n ON n.oid = c.opcnamespace
            WHERE g.rngtypid = t.oid)
        ELSE '(' || coalesce((
            SELECT string_agg(concat_ws(' ', quote_ident(a.attname),
                    format_type(a.atttypid, a.atttypmod),
                    CASE WHEN a.attcollation <> u.typcollation
                        THEN 'COLLATE ' || a.attcollation::regcollation END),
                ', ' ORDER BY a.attnum)
            FROM pg_attribute a JOIN pg_type u ON u.oid = a.atttypid
            WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '') || ')'
    END,
    NULL, NULL
FROM own_type t LEFT JOIN pg_type b ON b.oid = t.typbasetype
WHERE t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND EXISTS (
    SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')
UNION ALL
-- The name of a locale's column depends on the version of Postgres. The version of a collation is that of
-- the server's library.
SELECT 'collation', s.name || '.' || quote_ident(c.collname), '',
    concat_ws(', ',
        CASE c.collprovider WHEN 'i' THEN 'PROVIDER icu' WHEN 'b' THEN 'PROVIDER builtin' END,
        'LOCALE ' || quote_literal(coalesce(
            to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale')),
        'LC_COLLATE ' || quote_literal(c.collcollate),
        'LC_CTYPE ' || quote_literal(c.collctype),
        'RULES ' || quote_literal(to_jsonb(c) ->> 'collicurules'),
        CASE WHEN NOT c.collisdeterministic THEN 'DETERMINISTIC false' END),
    NULL, NULL
FROM pg_collation c JOIN space s ON s.oid = c.collnamespace
WHERE NOT EXISTS (SELECT FROM member m
    WHERE m.classid = 'pg_collation'::regclass AND m.objid = c.oid)
UNION ALL
SELECT 'text search configuration', s.name || '.' || quote_ident(f.cfgname), '',
    concat_ws(' ', 'PARSER', n.nspname || '.' || p.prsname, (
        SELECT string_agg(m.text, '; ' ORDER BY m.text COLLATE "C") FROM (
            SELECT k.alias || ': '
                || string_agg(m.mapdict::regdictionary::text, ', ' ORDER BY m.mapseqno) AS text
            FROM pg_ts_config_map m
                JOIN ts_token_type(f.cfgparser) k ON k.tokid = m.maptokentype
            WHERE m.mapcfg = f.oid GROUP BY k.alias) m)),
    NULL, NULL
FROM pg_ts_config f
    JOIN space s ON s.oid = f.cfgnamespace
    JOIN pg_ts_parser p ON p.oid = f.cfgparser
    JOIN pg_namespace n ON n.oid = p.prsnamespace
WHERE NOT EXISTS (SELECT FROM member m
    WHERE m.classid = 'pg_ts_config'::regclass AND m.objid = f.oid)
UNION ALL
SELECT 'text search dictionary', s.name || '.' || quote_ident(d.dictname), '',
    concat_ws(' ', 'TEMPLATE', n.nspname || '.' || t.tmplname, '(' || d.dictinitoption || ')'),
    NULL, NULL
FROM pg_ts_dict d
    JOIN space s ON s.oid = d.dictnamespace
    JOIN pg_ts_template t ON t.oid = d.dicttemplate
    JOIN pg_namespace n ON n.oid = t.tmplnamespace
WHERE NOT EXISTS (SELECT FROM member m
    WHERE m.classid = 'pg_ts_dict'::regclass AND m.objid = d.oid)
UNION ALL
-- The values of options may be secret, and lead to another database at each stage.
SELECT 'foreign server', quote_ident(v.srvname), '',
    concat_ws(' ', 'FOREIGN DATA WRAPPER', quote_ident(w.fdwname),
        'TYPE ' || quote_literal(v.srvtype), 'VERSION ' || quote_literal(v.srvversion),
        'OPTIONS (' || (
            SELECT string_agg(quote_ident(o.option_name), ', ' ORDER BY o.option_name COLLATE "C")
            FROM pg_options_to_table(v.srvoptions) o) || ')'),
    NULL, NULL
FROM pg_foreign_server v JOIN pg_foreign_data_wrapper w ON w.oid = v.srvfdw
WHERE NOT EXISTS (SELECT FROM member m
    WHERE m.classid = 'pg_foreign_server'::regclass AND m.objid = v.oid)
