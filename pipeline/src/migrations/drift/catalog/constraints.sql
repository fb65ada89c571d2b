-- NOT NULL is the column's, but for one of Postgres 18 that is not validated or not inherited.
SELECT 'constraint', coalesce(r.name, o.name) || '.' || quote_ident(k.conname),
    coalesce(r.name, o.name),
    concat_ws(' ', pg_get_constraintdef(k.oid),
        CASE WHEN i.indexrelid IS NOT NULL THEN concat_ws(' ',
            'WITH (' || (SELECT string_agg(one, ', ' ORDER BY one COLLATE "C")
                FROM unnest(x.reloptions) one) || ')',
            CASE WHEN i.indisclustered THEN 'CLUSTERED' END,
            CASE WHEN NOT i.indisvalid THEN 'INVALID' END) END,
        -- ALTER TABLE … DISABLE TRIGGER ALL leaves a foreign key that checks nothing.
        CASE WHEN k.contype = 'f' AND EXISTS (SELECT FROM pg_trigger g
            WHERE g.tgconstraint = k.oid AND g.tgenabled <> 'O') THEN 'WITH DISABLED TRIGGERS' END),
    NULL, NULL
FROM pg_constraint k
    LEFT JOIN relation r ON r.oid = k.conrelid
    LEFT JOIN own_type o ON o.oid = k.contypid
    LEFT JOIN pg_index i ON i.indexrelid = k.conindid AND k.contype IN ('p', 'u', 'x')
    LEFT JOIN pg_class x ON x.oid = i.indexrelid
WHERE (k.contype IN ('c', 'f', 'p', 'u', 'x')
        OR k.contype = 'n' AND (NOT k.convalidated OR k.connoinherit))
    AND k.conparentid = 0 AND coalesce(r.name, o.name) IS NOT NULL
UNION ALL
SELECT 'index', s.name || '.' || quote_ident(x.relname), r.name,
    concat_ws(' ', pg_get_indexdef(i.indexrelid),
        CASE WHEN i.indisclustered THEN 'CLUSTERED' END,
        CASE WHEN NOT i.indisvalid THEN 'INVALID' END,
        'STATISTICS (' || (
            SELECT string_agg(a.attnum || ': ' || a.attstattarget, ', ' ORDER BY a.attnum)
            FROM pg_attribute a
            WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0
                -- Of a column that is no expression, Postgres 15 and 16 have a number that counts for nothing.
                AND i.indkey[a.attnum - 1] = 0) || ')'),
    NULL, NULL
FROM relation r
    JOIN pg_index i ON i.indrelid = r.oid
    JOIN pg_class x ON x.oid = i.indexrelid
    JOIN space s ON s.oid = x.relnamespace
WHERE NOT x.relispartition AND NOT EXISTS (SELECT FROM pg_constraint k
    WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 'statistics', s.name || '.' || quote_ident(e.stxname), r.name,
    concat_ws(' ', pg_get_statisticsobjdef(e.oid), 'STATISTICS ' || nullif(e.stxstattarget, -1)),
    NULL, NULL
FROM pg_statistic_ext e
    JOIN relation r ON r.oid = e.stxrelid
    JOIN space s ON s.oid = e.stxnamespace
