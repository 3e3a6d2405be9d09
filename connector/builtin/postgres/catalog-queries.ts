/** The questions put to pg_catalog. Each statement returns one JSON value a row, so no driver parses types. */

/** Every table-like relation outside the system's schemas: name, kind, and whether wildcards pass it by. */
export const LIST_RELATIONS = `
SELECT n.nspname AS schema, c.relname AS name, c.oid::text AS oid,
  c.relispartition OR EXISTS (
    SELECT FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS inner
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname`

/** $1: schema, $2: name. What has to be known before a lock is taken. */
export const PROBE_RELATION = `
SELECT c.oid::text AS oid, c.relkind AS kind,
  has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`

const COLUMNS = `
SELECT coalesce(json_agg(json_build_object(
  'name', a.attname,
  'type', json_build_object(
    'display', format_type(a.atttypid, a.atttypmod),
    'cast', format_type(t.oid, -1),
    'builtin', CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname ELSE '' END,
    'modifier', base.modifier,
    'array', t.typcategory = 'A'),
  'notNull', a.attnotnull AND NOT EXISTS (
    SELECT FROM pg_constraint k
    WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND NOT k.convalidated
      AND k.conkey = ARRAY[a.attnum]),
  'deterministic', coalesce(l.collisdeterministic, true),
  'collation', CASE WHEN l.oid IS NULL OR l.collname = 'default' THEN ''
    ELSE l.collnamespace::regnamespace || '.' || l.collname END,
  'operatorSchema', coalesce((
    SELECT o.oprnamespace::regnamespace::text
    FROM pg_opclass f
    JOIN pg_am m ON m.oid = f.opcmethod AND m.amname = 'btree'
    JOIN pg_amop p ON p.amopfamily = f.opcfamily AND p.amopstrategy = 5
      AND p.amoplefttype = f.opcintype AND p.amoprighttype = f.opcintype
    JOIN pg_operator o ON o.oid = p.amopopr
    WHERE f.opcintype = t.oid AND f.opcdefault), 'pg_catalog'),
  'readable', has_column_privilege(a.attrelid, a.attnum, 'SELECT')
  ) ORDER BY a.attnum), '[]')
FROM pg_attribute a
LEFT JOIN pg_collation l ON l.oid = a.attcollation
CROSS JOIN LATERAL (
  WITH RECURSIVE chain AS (
    SELECT d.oid, d.typtype, d.typbasetype, d.typtypmod, a.atttypmod AS modifier
    FROM pg_type d WHERE d.oid = a.atttypid
    UNION ALL
    SELECT d.oid, d.typtype, d.typbasetype, d.typtypmod, chain.typtypmod
    FROM chain JOIN pg_type d ON d.oid = chain.typbasetype
    WHERE chain.typtype = 'd')
  SELECT oid, modifier FROM chain WHERE typtype <> 'd') AS base
JOIN pg_type t ON t.oid = base.oid
WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped`

const UNIQUE_KEYS = `
SELECT coalesce(json_agg(json_build_object(
  'primary', i.indisprimary,
  'columns', member.names,
  'sameCollation', member.same) ORDER BY i.indexrelid), '[]')
FROM pg_index i
CROSS JOIN LATERAL (
  SELECT json_agg(a.attname ORDER BY k.position) AS names,
    bool_and(i.indcollation[k.position - 1] = a.attcollation) AS same
  FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  WHERE k.position <= i.indnkeyatts) AS member
WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid
  AND i.indpred IS NULL AND i.indexprs IS NULL`

/** Rows of one relation with storage: the last ANALYZE's density times today's size. */
const storedRows = (alias: string): string => `CASE
  WHEN pg_relation_size(${alias}.oid) = 0 THEN 0
  WHEN ${alias}.reltuples < 0 OR ${alias}.relpages = 0 THEN NULL
  ELSE ${alias}.reltuples / ${alias}.relpages * pg_relation_size(${alias}.oid)
    / current_setting('block_size')::float8 END`

/** $1: array of oids. Everything of relation.ts, as column "relation". */
export const DESCRIBE_RELATIONS = `
SELECT json_build_object(
  'schema', n.nspname,
  'name', c.relname,
  'kind', CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' WHEN 'v' THEN 'view'
    WHEN 'm' THEN 'matview' ELSE 'foreign' END,
  'columns', (${COLUMNS}),
  'uniqueKeys', (${UNIQUE_KEYS}),
  'rowsEstimate', round((CASE
    WHEN c.relkind IN ('r', 'm') THEN ${storedRows('c')}
    WHEN c.relkind = 'f' AND c.reltuples > 0 THEN c.reltuples
    WHEN c.relkind = 'p' THEN (
      SELECT CASE WHEN bool_and(part.rows IS NOT NULL) THEN sum(part.rows) END
      FROM (SELECT ${storedRows('leaf')} AS rows
        FROM pg_partition_tree(c.oid) tree JOIN pg_class leaf ON leaf.oid = tree.relid
        WHERE tree.isleaf AND leaf.relkind = 'r') AS part)
    END)::numeric),
  'schemaReadable', has_schema_privilege(n.oid, 'USAGE'),
  'rowSecurity', c.relrowsecurity AND row_security_active(c.oid),
  'hasChildren', c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid)
) AS relation
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY($1::oid[])
ORDER BY n.nspname, c.relname`
