/**
 * The trail: what the catalog's own database saw happen to shards, commits and publishers, written by
 * triggers in the transactions themselves. The catalog forgets (empty commits, old versions) and does not
 * keep who wrote; the trail keeps all of it, and who is told by the user that the connection belongs to:
 * each worker has one of its own.
 */
import { query } from './host-postgres.ts'

export type TrailEvent = { readonly at: number; readonly by: string } & (
  | {
      readonly kind: 'acquired'
      readonly pipeline: string
      readonly shard: string
      readonly epoch: number
      /** Name under which it was taken; null by upkeep, by hand, or when it is only taken away. */
      readonly holder: string | null
    }
  | {
      readonly kind: 'moved'
      readonly pipeline: string
      readonly shard: string
      /** Of the shard, as its row says when it moves. */
      readonly epoch: number
      readonly seq: number
    }
  | {
      readonly kind: 'committed'
      readonly pipeline: string
      readonly shard: string
      readonly table: string
      /** As the commit says. */
      readonly epoch: number
      readonly seq: number
      readonly files: number
    }
  | { readonly kind: 'publisher'; readonly table: string; readonly epoch: number }
  | {
      readonly kind: 'version'
      readonly table: string
      readonly version: number
      /** The newest publisher's, when the version was stored. */
      readonly epoch: number
    }
)

const COLUMNS = 'at, by, kind, pipeline, shard, table_name, epoch, seq, holder, files, version'

/** An epoch that is raised to take a shard away leaves the holder's name as it was. */
const HOLDER =
  'case when new.holder is distinct from old.holder or new.holder = session_user then new.holder end'

/** `$$` bodies hold no product code: triggers see rows alone. */
function installSql(schema: string): string {
  const on = (table: string, when: string, name: string): string =>
    `create trigger chaos_${name} after ${when} on ${schema}.${table} for each row execute function chaos.note_${name}();`
  const note = (name: string, body: string): string =>
    `create function chaos.note_${name}() returns trigger language plpgsql security definer set search_path = chaos, pg_temp as $$ begin ${body} return null; end $$;`
  const insert = (columns: string, values: string): string =>
    `insert into chaos.trail (by, ${columns}) values (session_user, ${values});`
  const shardColumns = 'kind, pipeline, shard, epoch'
  return `
create schema chaos;
create table chaos.trail (
  id bigint generated always as identity primary key, at timestamptz not null default clock_timestamp(),
  by text not null, kind text not null, pipeline text, shard text, table_name text, epoch bigint,
  seq bigint, holder text, files bigint, version bigint);
${note(
  'shard',
  `if new.epoch <> old.epoch then ${insert(`${shardColumns}, holder`, `'acquired', new.pipeline, new.shard, new.epoch, ${HOLDER}`)} end if;
   if new.seq <> old.seq then ${insert(`${shardColumns}, seq`, `'moved', new.pipeline, new.shard, new.epoch, new.seq`)} end if;`,
)}
${note('commit', insert(`${shardColumns}, table_name, seq, files`, `'committed', new.pipeline, new.shard, new.epoch, new.table_name, new.seq, new.files`))}
${note('publisher', `if new.publish_epoch <> old.publish_epoch then ${insert('kind, table_name, epoch', `'publisher', new.name, new.publish_epoch`)} end if;`)}
${note(
  'version',
  `insert into chaos.trail (by, kind, table_name, version, epoch)
   select session_user, 'version', new.table_name, new.version, t.publish_epoch
   from ${schema}.data_table as t where t.name = new.table_name;`,
)}
${on('shard', 'update', 'shard')}
${on('table_commit', 'insert', 'commit')}
${on('data_table', 'update', 'publisher')}
${on('table_log', 'insert', 'version')}
grant usage on schema chaos to public;
`
}

/** A user of the catalog's database for each worker, so that what is written has a name. */
function usersSql(names: readonly string[]): string {
  return names.map((name) => `create role "${name}" login superuser;`).join('\n')
}

/** Begins the trail of a catalog that has its schema; `url` is the database's owner's. */
export async function installTrail(url: string, workers: readonly string[]): Promise<void> {
  const [found] = await query(
    url,
    `select table_schema from information_schema.tables where table_name = 'table_commit'`,
  )
  if (!found) throw new Error('the catalog has no schema yet')
  await query(url, `${usersSql(workers)} ${installSql(String(found['table_schema']))}`)
}

const PAGE_ROWS = 20_000

/** The whole trail, in the order in which each shard and each table was changed. */
export async function readTrail(url: string): Promise<readonly TrailEvent[]> {
  const events: TrailEvent[] = []
  for (let after = '0'; ;) {
    const rows = await query(
      url,
      `select id::text as mark, extract(epoch from at) * 1000 as at_ms, ${COLUMNS}
       from chaos.trail where id > $1 order by id limit ${PAGE_ROWS}`,
      [after],
    )
    for (const row of rows) events.push(toEvent(row))
    if (rows.length < PAGE_ROWS) return events
    after = String(rows.at(-1)?.['mark'])
  }
}

function toEvent(row: Record<string, unknown>): TrailEvent {
  const text = (name: string): string => String(row[name])
  const number = (name: string): number => Number(row[name])
  const about = { at: Math.round(number('at_ms')), by: text('by') }
  const shard = { pipeline: text('pipeline'), shard: text('shard') }
  const [epoch, seq] = [number('epoch'), number('seq')]
  switch (text('kind')) {
    case 'acquired': {
      const holder = row['holder'] === null ? null : text('holder')
      return { ...about, kind: 'acquired', ...shard, epoch, holder }
    }
    case 'moved':
      return { ...about, kind: 'moved', ...shard, epoch, seq }
    case 'committed': {
      const files = number('files')
      return { ...about, kind: 'committed', ...shard, table: text('table_name'), epoch, seq, files }
    }
    case 'publisher':
      return { ...about, kind: 'publisher', table: text('table_name'), epoch }
    case 'version':
      return {
        ...about,
        kind: 'version',
        table: text('table_name'),
        version: number('version'),
        epoch,
      }
    default:
      throw new Error(`the trail holds a ${text('kind')}`)
  }
}
