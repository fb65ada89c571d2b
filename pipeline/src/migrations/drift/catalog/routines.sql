SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
    s.name || '.' || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')',
    '',
    concat_ws(' ',
        '(' || pg_get_function_arguments(p.oid) || ')',
        'RETURNS ' || pg_get_function_result(p.oid),
        'LANGUAGE ' || quote_ident(l.lanname),
        CASE WHEN p.prokind = 'w' THEN 'WINDOW' END,
        CASE p.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END,
        CASE WHEN p.proisstrict THEN 'STRICT' END,
        CASE WHEN p.prosecdef THEN 'SECURITY DEFINER' END,
        CASE WHEN p.proleakproof THEN 'LEAKPROOF' END,
        CASE p.proparallel WHEN 's' THEN 'PARALLEL SAFE' WHEN 'r' THEN 'PARALLEL RESTRICTED' END,
        CASE WHEN p.prokind <> 'a'
                AND p.procost <> CASE WHEN l.lanname IN ('c', 'internal') THEN 1 ELSE 100 END
            THEN 'COST ' || p.procost END,
        CASE WHEN p.proretset AND p.prorows <> 1000 THEN 'ROWS ' || p.prorows END,
        'SUPPORT ' || nullif(p.prosupport::oid, 0)::regproc,
        'TRANSFORM ' || (SELECT string_agg(format_type(one, NULL), ', ')
            FROM unnest(p.protrftypes) one),
        (SELECT 'SET ' || string_agg(one, ', ' ORDER BY one COLLATE "C") FROM unnest(p.proconfig) one),
        CASE a.aggkind WHEN 'o' THEN 'ORDERED SET' WHEN 'h' THEN 'HYPOTHETICAL' END,
        'SFUNC ' || nullif(a.aggtransfn::oid, 0)::regprocedure,
        'STYPE ' || format_type(a.aggtranstype, NULL),
        'SSPACE ' || nullif(a.aggtransspace, 0),
        'FINALFUNC ' || nullif(a.aggfinalfn::oid, 0)::regprocedure,
        CASE WHEN a.aggfinalextra THEN 'FINALFUNC_EXTRA' END,
        'FINALFUNC_MODIFY ' || nullif(a.aggfinalmodify, CASE a.aggkind WHEN 'n' THEN 'r' ELSE 'w' END),
        'COMBINEFUNC ' || nullif(a.aggcombinefn::oid, 0)::regprocedure,
        'SERIALFUNC ' || nullif(a.aggserialfn::oid, 0)::regprocedure,
        'DESERIALFUNC ' || nullif(a.aggdeserialfn::oid, 0)::regprocedure,
        'INITCOND ' || quote_literal(a.agginitval),
        'MSFUNC ' || nullif(a.aggmtransfn::oid, 0)::regprocedure,
        'MINVFUNC ' || nullif(a.aggminvtransfn::oid, 0)::regprocedure,
        'MSTYPE ' || format_type(nullif(a.aggmtranstype, 0), NULL),
        'MSSPACE ' || nullif(a.aggmtransspace, 0),
        'MFINALFUNC ' || nullif(a.aggmfinalfn::oid, 0)::regprocedure,
        CASE WHEN a.aggmfinalextra THEN 'MFINALFUNC_EXTRA' END,
        CASE WHEN a.aggmtransfn::oid <> 0 THEN 'MFINALFUNC_MODIFY '
            || nullif(a.aggmfinalmodify, CASE a.aggkind WHEN 'n' THEN 'r' ELSE 'w' END) END,
        'MINITCOND ' || quote_literal(a.aggminitval),
        'SORTOP ' || nullif(a.aggsortop, 0)::regoperator,
        CASE WHEN p.prokind <> 'a' THEN pg_get_function_sqlbody(p.oid) END),
    NULL,
    CASE WHEN p.prokind <> 'a' AND p.prosqlbody IS NULL
        THEN 'AS ' || concat_ws(', ', p.probin, p.prosrc) END
FROM pg_proc p
    JOIN space s ON s.oid = p.pronamespace
    JOIN pg_language l ON l.oid = p.prolang
    LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
WHERE NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
UNION ALL
SELECT 'operator',
    s.name || '.' || o.oprname || '(' || coalesce(format_type(nullif(o.oprleft, 0), NULL) || ', ', '')
        || format_type(o.oprright, NULL) || ')',
    '',
    concat_ws(' ',
        'FUNCTION ' || o.oprcode::oid::regprocedure,
        'COMMUTATOR ' || nullif(o.oprcom, 0)::regoperator,
        'NEGATOR ' || nullif(o.oprnegate, 0)::regoperator,
        'RESTRICT ' || nullif(o.oprrest::oid, 0)::regproc,
        'JOIN ' || nullif(o.oprjoin::oid, 0)::regproc,
        CASE WHEN o.oprcanhash THEN 'HASHES' END,
        CASE WHEN o.oprcanmerge THEN 'MERGES' END),
    NULL, NULL
FROM pg_operator o JOIN space s ON s.oid = o.oprnamespace
WHERE o.oprcode::oid <> 0 AND NOT EXISTS (SELECT FROM member m
    WHERE m.classid = 'pg_operator'::regclass AND m.objid = o.oid)
UNION ALL
-- Below 16384 are the server's own. That of a range to its multirange belongs to the range.
SELECT 'cast', format_type(k.castsource, NULL) || ' AS ' || format_type(k.casttarget, NULL), '',
    concat_ws(' ',
        CASE k.castmethod WHEN 'b' THEN 'WITHOUT FUNCTION' WHEN 'i' THEN 'WITH INOUT'
            ELSE 'WITH FUNCTION ' || k.castfunc::regprocedure END,
        CASE k.castcontext WHEN 'i' THEN 'AS IMPLICIT' WHEN 'a' THEN 'AS ASSIGNMENT' END),
    NULL, NULL
FROM pg_cast k
WHERE k.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = 'pg_cast'::regclass AND d.objid = k.oid AND d.deptype IN ('e', 'i'))
