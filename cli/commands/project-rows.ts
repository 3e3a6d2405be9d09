/** The rows of what works on a project: its pipelines, tables, state, and a worker of its own. */
import type { CommandSpec } from '../command.ts'
import { SERVE_OPTIONS } from '../serve/settings.ts'

const DRAINS = 'after the current batch'

const full = {
  flags: '--full-refresh',
  summary: 'forget cursors and load everything anew beside the visible rows',
}

export const PROJECT_ROWS: readonly CommandSpec[] = [
  {
    usage: 'init [folder]',
    summary: 'Make a project: a hakiri.toml that runs as it is.',
    examples: ['hakiri init my-project && cd my-project && hakiri run'],
    load: async () => (await import('./init.ts')).init,
  },
  {
    usage: 'validate',
    summary: 'Check the configuration and report every problem at once.',
    examples: ['hakiri validate', 'hakiri validate --json'],
    load: async () => (await import('./validate.ts')).validate,
  },
  {
    usage: 'plan [pipelines...]',
    summary: 'Show what a run would do: tables, shards, schema changes. Reads, writes nothing.',
    options: [
      { flags: '--check', summary: 'exit with 4 when the run would change a schema or the shards' },
    ],
    examples: ['hakiri plan', 'hakiri plan shop --check'],
    load: async () => (await import('./plan.ts')).plan,
  },
  {
    usage: 'run [pipelines...]',
    summary: 'Pull from the sources into tables; carries on where the last run stopped.',
    options: [
      full,
      { flags: '--shard <id>', summary: 'only this shard' },
      { flags: '--cluster', summary: 'have the workers of the cluster do it' },
      { flags: '--wait', summary: 'with --cluster: until it is over' },
    ],
    examples: [
      'hakiri run',
      'hakiri run shop --full-refresh',
      'hakiri run shop --shard public.orders',
      'hakiri run shop --cluster --wait',
    ],
    drains: DRAINS,
    load: async () => (await import('./run.ts')).run,
  },
  {
    usage: 'backfill <pipeline>',
    summary: 'Read a range of the cursor column again and merge it by key.',
    options: [
      { flags: '--from <value>', summary: 'first cursor value, included' },
      { flags: '--to <value>', summary: 'last cursor value, not included' },
    ],
    examples: ['hakiri backfill shop --from 2026-01-01 --to 2026-02-01'],
    drains: DRAINS,
    load: async () => (await import('./backfill.ts')).backfill,
  },
  {
    usage: 'query [sql]',
    summary: 'Ask the tables in SQL; without SQL, a prompt.',
    options: [
      { flags: '-f, --format <format>', summary: 'table, json, csv or parquet', fallback: 'table' },
      { flags: '-o, --output <file>', summary: 'write the answer to a file' },
      {
        flags: '--at <time-or-version>',
        summary: 'as of a version (12) or a time (2026-11-01T00:00:00Z)',
      },
      { flags: '--limit <rows>', summary: 'rows shown by --format table', fallback: '100' },
    ],
    examples: [
      'hakiri query "select count(*) from birds"',
      'hakiri query --format csv "from birds limit 5"',
      'hakiri query --at 3 "from birds"',
    ],
    load: async () => (await import('./query.ts')).query,
  },
  {
    usage: 'status',
    summary: 'Every pipeline: last run, rows, what is behind or failing.',
    examples: ['hakiri status', 'hakiri status --json'],
    load: async () => (await import('./status.ts')).status,
  },
  {
    usage: 'runs [pipeline]',
    summary: 'The latest runs.',
    options: [{ flags: '-n, --limit <n>', summary: 'how many', fallback: '20' }],
    examples: ['hakiri runs', 'hakiri runs shop --limit 5'],
    load: async () => (await import('./runs.ts')).runs,
  },
  {
    usage: 'runs show <id>',
    summary: 'One run: counters, shards, errors.',
    examples: ['hakiri runs show 12'],
    load: async () => (await import('./runs.ts')).runsShow,
  },
  {
    usage: 'runs logs <id>',
    summary: 'The event history of one run.',
    examples: ['hakiri runs logs 12'],
    load: async () => (await import('./runs.ts')).runsLogs,
  },
  {
    usage: 'runs cancel <id>',
    summary: 'End a run of the cluster; its holders commit first.',
    examples: ['hakiri runs cancel 12'],
    load: async () => (await import('./runs.ts')).runsCancel,
  },
  {
    usage: 'tables',
    summary: 'Every table: rows, files, bytes, version.',
    examples: ['hakiri tables'],
    load: async () => (await import('./tables.ts')).tables,
  },
  {
    usage: 'tables show <table>',
    summary: 'One table: columns, files, where it lies.',
    examples: ['hakiri tables show shop.orders'],
    load: async () => (await import('./tables.ts')).tablesShow,
  },
  {
    usage: 'tables history <table>',
    summary: 'The versions of a table and what each one changed.',
    options: [{ flags: '-n, --limit <n>', summary: 'how many', fallback: '20' }],
    examples: ['hakiri tables history shop.orders'],
    load: async () => (await import('./tables.ts')).tablesHistory,
  },
  {
    usage: 'tables compact [table]',
    summary: 'Rewrite small files into larger ones now.',
    examples: ['hakiri tables compact', 'hakiri tables compact shop.orders'],
    load: async () => (await import('./maintain.ts')).compact,
  },
  {
    usage: 'tables vacuum [table]',
    summary: 'Delete files that the log dropped long ago, and uploads that no commit names.',
    options: [
      {
        flags: '--grace <duration>',
        summary: 'leave uploads younger than this alone',
        fallback: '24h',
      },
    ],
    examples: ['hakiri tables vacuum'],
    load: async () => (await import('./maintain.ts')).vacuum,
  },
  {
    usage: 'state get [pipeline] [shard]',
    summary: 'Cursors and sequence numbers of shards.',
    examples: ['hakiri state get', 'hakiri state get shop public.orders'],
    load: async () => (await import('./state.ts')).stateGet,
  },
  {
    usage: 'state set <pipeline> <shard> <cursor>',
    summary: 'Set a cursor by hand (JSON); a run at work is stopped.',
    examples: [`hakiri state set shop public.orders '{"updated_at":"2026-01-01"}'`],
    load: async () => (await import('./state.ts')).stateSet,
  },
  {
    usage: 'state reset <pipeline> [shard]',
    summary: 'Forget cursors, so that the next run reads from the start.',
    examples: ['hakiri state reset shop', 'hakiri state reset shop public.orders'],
    load: async () => (await import('./state.ts')).stateReset,
  },
  {
    usage: 'schema [table]',
    summary: 'Columns of tables and decisions that wait for you.',
    examples: ['hakiri schema', 'hakiri schema shop.orders'],
    load: async () => (await import('./schema.ts')).schema,
  },
  {
    usage: 'schema log [table]',
    summary: 'How the schema changed over time.',
    examples: ['hakiri schema log', 'hakiri schema log shop.orders'],
    load: async () => (await import('./schema.ts')).schemaLog,
  },
  {
    usage: 'schema approve <id>',
    summary: 'Let a queued schema change happen at the next run.',
    examples: ['hakiri schema approve 3'],
    load: async () => (await import('./schema.ts')).schemaApprove,
  },
  {
    usage: 'schema deny <id>',
    summary: 'Refuse a queued schema change: the values are left out.',
    examples: ['hakiri schema deny 3'],
    load: async () => (await import('./schema.ts')).schemaDeny,
  },
  {
    usage: 'connector list',
    summary: 'The connectors this build has.',
    examples: ['hakiri connector list'],
    load: async () => (await import('./connector.ts')).connectorList,
  },
  {
    usage: 'connector check [pipelines...]',
    summary: 'Reach each source and say what is wrong with it.',
    examples: ['hakiri connector check', 'hakiri connector check shop'],
    load: async () => (await import('./connector.ts')).connectorCheck,
  },
  {
    usage: 'catalog rebuild',
    summary: 'Make a new catalog from the tables in the bucket.',
    options: [{ flags: '--from-bucket', summary: 'say that the bucket is to be trusted' }],
    examples: ['hakiri catalog rebuild --from-bucket'],
    load: async () => (await import('./catalog.ts')).rebuild,
  },
  {
    usage: 'serve',
    summary: 'Run a worker: on its own, or with --coord as one of a cluster.',
    options: SERVE_OPTIONS,
    examples: [
      'hakiri serve',
      'hakiri serve --coord c1:7701,c2:7701,c3:7701 --catalog postgres://hakiri@db/hakiri',
      'hakiri serve --name vm7 --labels region=eu --slots 8 --coord c1:7701 --catalog env:CATALOG',
    ],
    drains: 'when its shards are handed over',
    load: async () => (await import('./serve.ts')).serve,
  },
]

export const DOCTOR_ROW: CommandSpec = {
  usage: 'doctor',
  summary: 'Check this machine, the catalog, the buckets and the sources.',
  examples: ['hakiri doctor', 'hakiri doctor --json'],
  load: async () => (await import('./doctor.ts')).doctor,
}
