/** The seed table of the Postgres benchmarks: 8 columns, about 180 bytes a row, the same every time. */
import pg from 'pg'

export async function seedEvents(url: string, rows: number): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query(`
      create unlogged table events (
        id bigint primary key, account int not null, kind text not null, amount numeric(12,2),
        note text, payload jsonb not null, created_at timestamptz not null, updated_at timestamptz not null)`)
    await client.query(
      `insert into events
       select n, (n * 7919) % 100003, (array['view','click','order','refund'])[1 + n % 4],
         case when n % 10 = 0 then null else ((n * 31) % 1000000)::numeric / 100 end,
         repeat(md5(n::text), 1 + (n % 2)::int),
         jsonb_build_object('page', '/p/' || n % 1000, 'ms', n % 997, 'ok', n % 3 = 0),
         timestamptz '2026-01-01' + n * interval '1 second', timestamptz '2026-02-01' + n * interval '1 second'
       from generate_series(1, $1::bigint) n`,
      [rows],
    )
    await client.query('vacuum (freeze, analyze) events')
    await client.query('checkpoint')
  } finally {
    await client.end()
  }
}

/** What a re-read of any output must give. Text columns count by their lengths and a sum of codes. */
export type Fingerprint = readonly string[]

const EXPRESSIONS = [
  'count(*)',
  'sum(id)',
  'count(distinct id)',
  'sum(account)',
  'sum(length(kind))',
  'sum(amount)',
  'count(amount)',
  'sum(length(note))',
  'sum(ascii(substr(note, 1, 1)))',
]

export const DUCKDB_FINGERPRINT = [
  ...EXPRESSIONS,
  "sum(cast(json_extract_string(payload, '$.ms') as bigint))",
  'sum(cast(epoch(created_at) as bigint))',
  'sum(cast(epoch(updated_at) as bigint))',
].join(', ')

export async function sourceFingerprint(url: string): Promise<Fingerprint> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const sql = [
      ...EXPRESSIONS,
      "sum((payload->>'ms')::bigint)",
      'sum(extract(epoch from created_at)::bigint)',
      'sum(extract(epoch from updated_at)::bigint)',
    ]
    const result = await client.query({
      text: `select ${sql.join(', ')} from events`,
      rowMode: 'array',
    })
    return normal(result.rows[0] as readonly unknown[])
  } finally {
    await client.end()
  }
}

/** 12.50 and 12.5 are the same sum. */
export function normal(values: readonly unknown[]): Fingerprint {
  return values.map((value) =>
    String(value)
      .replace(/(\.\d*?)0+$/, '$1')
      .replace(/\.$/, ''),
  )
}
