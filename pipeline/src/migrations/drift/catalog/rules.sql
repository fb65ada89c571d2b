-- A role differs from stage to stage, so the table's owner is named as such.
SELECT 'policy', r.name || '.' || quote_ident(p.polname), r.name,
    concat_ws(' ',
        CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
        'FOR ' || CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
            WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
        'TO ' || (SELECT string_agg(role.name, ', ' ORDER BY role.name COLLATE "C") FROM (
            SELECT CASE WHEN one = 0 THEN 'PUBLIC' WHEN one = r.relowner THEN 'the owner'
                ELSE one::regrole::text END AS name FROM unnest(p.polroles) one) role),
        'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
        'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'),
    NULL, NULL
FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
UNION ALL
-- A partition's trigger is its parent's, unless it is enabled in another way.
SELECT 'trigger', r.name || '.' || quote_ident(g.tgname), r.name,
    concat_ws(' ', pg_get_triggerdef(g.oid), CASE g.tgenabled WHEN 'D' THEN 'DISABLED'
        WHEN 'R' THEN 'REPLICA' WHEN 'A' THEN 'ALWAYS'
        ELSE CASE WHEN g.tgparentid <> 0 THEN 'ENABLED' END END),
    NULL, NULL
FROM relation r
    JOIN pg_trigger g ON g.tgrelid = r.oid
    LEFT JOIN pg_trigger u ON u.oid = g.tgparentid
WHERE NOT g.tgisinternal AND (g.tgparentid = 0 OR g.tgenabled <> u.tgenabled)
UNION ALL
SELECT 'rule', r.name || '.' || quote_ident(w.rulename), r.name,
    concat_ws(' ', CASE w.ev_enabled WHEN 'D' THEN 'DISABLED' WHEN 'R' THEN 'REPLICA'
        WHEN 'A' THEN 'ALWAYS' END, pg_get_ruledef(w.oid)),
    NULL, NULL
FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid
WHERE w.rulename <> '_RETURN'
UNION ALL
-- The provider has event triggers, too: those of functions that are not chosen.
SELECT 'event trigger', quote_ident(e.evtname), '',
    concat_ws(' ', 'ON', e.evtevent,
        'WHEN TAG IN (' || (SELECT string_agg(quote_literal(tag), ', ' ORDER BY tag COLLATE "C")
            FROM unnest(e.evttags) tag) || ')',
        'EXECUTE FUNCTION', e.evtfoid::regproc,
        CASE e.evtenabled WHEN 'D' THEN 'DISABLED' WHEN 'R' THEN 'REPLICA'
            WHEN 'A' THEN 'ALWAYS' END),
    NULL, NULL
FROM pg_event_trigger e
    JOIN pg_proc p ON p.oid = e.evtfoid
    JOIN space s ON s.oid = p.pronamespace
WHERE NOT EXISTS (SELECT FROM member m
    WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = e.oid)
UNION ALL
SELECT 'publication', quote_ident(p.pubname), '',
    concat_ws(' ',
        CASE WHEN p.puballtables THEN 'FOR ALL TABLES' END,
        'FOR TABLE ' || (
            SELECT string_agg(concat_ws(' ', t.prrelid::regclass,
                    '(' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname COLLATE "C")
                        FROM pg_attribute a
                        WHERE a.attrelid = t.prrelid AND a.attnum = ANY (t.prattrs)) || ')',
                    'WHERE ' || pg_get_expr(t.prqual, t.prrelid)),
                ', ' ORDER BY t.prrelid::regclass::text COLLATE "C")
            FROM pg_publication_rel t WHERE t.prpubid = p.oid),
        'FOR TABLES IN SCHEMA ' || (
            SELECT string_agg(n.pnnspid::regnamespace::text, ', '
                ORDER BY n.pnnspid::regnamespace::text COLLATE "C")
            FROM pg_publication_namespace n WHERE n.pnpubid = p.oid),
        'WITH (' || concat_ws(', ',
            CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
            CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END,
            CASE WHEN p.pubviaroot THEN 'publish_via_partition_root' END,
            CASE WHEN to_jsonb(p) ->> 'pubgencols' = 's' THEN 'publish_generated_columns' END) || ')'),
    NULL, NULL
FROM pg_publication p
