/** The rows of the command tree about a cluster. All read the catalog, so that no worker is needed. */
import type { CommandSpec } from '../command.ts'

export const CLUSTER_ROWS: readonly CommandSpec[] = [
  {
    usage: 'apply',
    summary:
      'Store the configuration in the catalog as the next version; running workers pick it up.',
    options: [{ flags: '--dry-run', summary: 'show what would change, store nothing' }],
    examples: ['hakiri apply --dry-run', 'hakiri apply --catalog env:HAKIRI_CATALOG'],
    load: async () => (await import('./apply.ts')).apply,
  },
  {
    usage: 'ps',
    summary: 'Runs that are at work now: how far, and where.',
    examples: ['hakiri ps', 'hakiri ps --catalog postgres://db/hakiri'],
    load: async () => (await import('./ps.ts')).ps,
  },
  {
    usage: 'shards',
    summary: 'Every shard of the cluster: its state, who has it, and why.',
    options: [
      { flags: '--pipeline <name>', summary: 'only of this pipeline' },
      { flags: '--worker <name>', summary: 'only those meant for this worker or held by it' },
      { flags: '--unassigned', summary: 'only those that no worker is meant to have' },
      { flags: '--why <shard>', summary: 'all about one: PIPELINE/SHARD' },
    ],
    examples: [
      'hakiri shards',
      'hakiri shards --worker c2',
      'hakiri shards --why shop/public.orders',
    ],
    load: async () => (await import('./shards.ts')).shards,
  },
  {
    usage: 'workers',
    summary: 'Workers of the cluster, also those that are away.',
    examples: ['hakiri workers'],
    load: async () => (await import('./workers.ts')).workers,
  },
  {
    usage: 'drain <worker>',
    summary: 'Have a worker give back what it has; it gets nothing new.',
    options: [
      { flags: '--wait', summary: 'until it has given back everything' },
      { flags: '--timeout <duration>', summary: 'how long --wait waits', fallback: '10m' },
    ],
    examples: ['hakiri drain c2 --wait'],
    load: async () => (await import('./drain.ts')).drain,
  },
  {
    usage: 'uncordon <worker>',
    summary: 'Let a drained worker have shards again.',
    examples: ['hakiri uncordon c2'],
    load: async () => (await import('./drain.ts')).uncordon,
  },
  {
    usage: 'shard pause <shard>',
    summary: 'Keep a shard from every run.',
    examples: ['hakiri shard pause shop/public.orders'],
    load: async () => (await import('./shard.ts')).shardPause,
  },
  {
    usage: 'shard resume <shard>',
    summary: 'Lift a pause or a quarantine.',
    examples: ['hakiri shard resume shop/public.orders'],
    load: async () => (await import('./shard.ts')).shardResume,
  },
  {
    usage: 'shard release <shard>',
    summary: 'Fence whoever holds a shard, so that it is acquired anew.',
    examples: ['hakiri shard release shop/public.orders'],
    load: async () => (await import('./shard.ts')).shardRelease,
  },
  {
    usage: 'shard reset <shard>',
    summary: 'Forget the cursor, so that the next run reads from the start.',
    options: [{ flags: '-y, --yes', summary: 'do not ask' }],
    examples: [
      'hakiri shard reset shop/public.orders',
      'hakiri shard reset shop/public.orders --yes',
    ],
    load: async () => (await import('./shard.ts')).shardReset,
  },
  {
    usage: 'events',
    summary: 'What happened to the cluster and its runs.',
    options: [
      { flags: '--follow', summary: 'go on with what happens, until Ctrl-C' },
      { flags: '--pipeline <name>', summary: 'only of this pipeline' },
      { flags: '--run <id>', summary: 'only of this run' },
      { flags: '--ndjson', summary: 'one JSON object a line' },
      { flags: '-n, --limit <n>', summary: 'how many of the newest', fallback: '50' },
    ],
    examples: ['hakiri events --run 12', 'hakiri events --follow --pipeline shop'],
    load: async () => (await import('./events.ts')).events,
  },
  {
    usage: 'token create <name>',
    summary: 'Make a token for the HTTP API; it is shown once.',
    options: [
      { flags: '--scope <scope>', summary: 'read, operate or admin', fallback: 'read' },
      {
        flags: '--expires <duration>',
        summary: 'when it opens nothing any more; never unless told',
      },
    ],
    examples: ['hakiri token create grafana --scope read --expires 90d'],
    load: async () => (await import('./token.ts')).tokenCreate,
  },
  {
    usage: 'token list',
    summary: 'Tokens of the HTTP API, without the tokens themselves.',
    examples: ['hakiri token list'],
    load: async () => (await import('./token.ts')).tokenList,
  },
  {
    usage: 'token revoke <name>',
    summary: 'Have a token open nothing any more.',
    examples: ['hakiri token revoke grafana'],
    load: async () => (await import('./token.ts')).tokenRevoke,
  },
]
