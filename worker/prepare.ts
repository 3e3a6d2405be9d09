/**
 * What a run of a pipeline is made of, decided before anything is read: tables, shards, generation and
 * read mode. `planRun` only looks (it is what `hakiri plan` prints); `applyRunPlan` registers.
 */
import type {
  Catalog,
  NewShard,
  NewTable,
  SchemaDecision,
  ShardRow,
  TableRow,
} from '../catalog/catalog.ts'
import type {
  Connector,
  ConnectorContext,
  ReadMode,
  SourceShard,
  SourceTable,
} from '../connector/connector.ts'
import { assert, unreachable } from '../lib/assert.ts'
import { HakiriError } from '../lib/error.ts'
import type { Pipeline, Write } from '../manifest/manifest.ts'
import { tableNames } from '../sink/plan/names.ts'
import { tableVerdict } from '../sink/plan/schema-verdict.ts'

export type RunRequest =
  | { readonly kind: 'run'; readonly fullRefresh: boolean; readonly shard: string | undefined }
  | { readonly kind: 'backfill'; readonly from: string; readonly to: string }

export type TablePlan = {
  readonly source: SourceTable
  readonly target: NewTable
  /** Undefined: the table does not exist yet. */
  readonly existing: TableRow | undefined
  readonly write: Write
  /** Source columns to merge by; empty unless the mode is upsert. */
  readonly sourceKey: readonly string[]
  readonly mode: ReadMode
  /** Rows are loaded beside the visible ones and swapped in at the end. */
  readonly staged: boolean
  /** Continues a load that an earlier run did not finish. */
  readonly resumesStaging: boolean
}

export type ShardPlan = {
  readonly shard: SourceShard
  readonly table: string
  readonly known: ShardRow | undefined
}

export type RunPlan = {
  readonly pipeline: Pipeline
  readonly request: RunRequest
  readonly tables: readonly TablePlan[]
  readonly shards: readonly ShardPlan[]
  /** Shards of the catalog that the source no longer has. */
  readonly gone: readonly ShardRow[]
  /** Tables that wait for a decision before they may be added. */
  readonly asked: readonly TablePlan[]
  readonly warnings: readonly string[]
}

/** Marks the shards of a backfill; they live only until it is done. */
const BACKFILL = '~backfill:'

export async function planRun(
  pipeline: Pipeline,
  request: RunRequest,
  connector: Connector,
  context: ConnectorContext,
  catalog: Catalog,
): Promise<RunPlan> {
  const described = await connector.describe(context)
  if (described.length === 0) throw nothingSelected(pipeline)
  const names = tableNames(
    pipeline.name,
    described.map((table) => table.name),
  )
  const known = await catalog.shards(pipeline.name)
  const tables: TablePlan[] = []
  const asked: TablePlan[] = []
  const warnings: string[] = []
  const decisions = await catalog.decisions()
  for (const source of described) {
    const plan = await planTable(pipeline, request, source, targetOf(names, source.name), catalog)
    const verdict = admission(pipeline, plan, known.length === 0, decisions)
    if (verdict.kind === 'accept') tables.push(plan)
    else warnings.push(leftOut(source.name, verdict.reason))
    if (verdict.kind === 'ask') asked.push(plan)
  }
  const regular = known.filter((shard) => !shard.shard.includes(BACKFILL))
  const found = await connector.shards(context, regular.map(asSourceShard(names)))
  const byId = new Map(known.map((row) => [row.shard, row]))
  const shards = found
    .filter((shard) => tables.some((table) => table.source.name === shard.table))
    .map((shard) => planShard(request, shard, targetOf(names, shard.table), byId))
  const wanted =
    request.kind === 'run' && request.shard
      ? shards.filter((plan) => plan.shard.id === request.shard)
      : shards
  if (wanted.length === 0 && request.kind === 'run' && request.shard)
    throw noSuchShard(pipeline, request.shard, shards)
  const ids = new Set(found.map((shard) => shard.id))
  return {
    pipeline,
    request,
    tables,
    shards: wanted,
    gone: regular.filter((row) => !ids.has(row.shard)),
    asked,
    warnings,
  }
}

function nothingSelected(pipeline: Pipeline): HakiriError {
  return new HakiriError(
    'NOT_FOUND',
    `pipeline ${pipeline.name}: the source has no table that the configuration selects`,
    {
      suggestion: `Run \`hakiri connector check ${pipeline.name}\` to see what the source offers.`,
    },
  )
}

function noSuchShard(pipeline: Pipeline, shard: string, shards: readonly ShardPlan[]): HakiriError {
  const some = shards.slice(0, 5).map((plan) => plan.shard.id)
  return new HakiriError('NOT_FOUND', `pipeline ${pipeline.name} has no shard ${shard}`, {
    suggestion: `Its shards are ${some.join(', ')}${shards.length > some.length ? ', …' : ''}.`,
  })
}

type Admission =
  { readonly kind: 'accept' } | { readonly kind: 'leave-out' | 'ask'; readonly reason: string }

/**
 * Policy for source tables that appear after the first run; all that are there at the first one are
 * wanted. A table that may not be added is not read at all.
 */
function admission(
  pipeline: Pipeline,
  { existing, source, target }: TablePlan,
  isFirstRun: boolean,
  decisions: readonly SchemaDecision[],
): Admission {
  if (existing || isFirstRun) return { kind: 'accept' }
  const own = decisions.filter((decision) => decision.table === target.name)
  const policy = pipeline.schema.tables
  const verdict = tableVerdict(target.name, policy, own)
  switch (verdict.kind) {
    case 'accept':
      return { kind: 'accept' }
    case 'freeze':
      throw frozen(pipeline, source)
    case 'discard':
      return { kind: 'leave-out', reason: `schema.tables = "${policy}"` }
    case 'reject':
      return policy === 'ask' && own.every((decision) => decision.status !== 'denied')
        ? { kind: 'ask', reason: 'a decision is pending: `hakiri schema`' }
        : { kind: 'leave-out', reason: policy === 'ask' ? 'denied' : `schema.tables = "${policy}"` }
    default:
      return unreachable(verdict)
  }
}

function leftOut(table: string, reason: string): string {
  return `new source table ${table} was left out (${reason})`
}

function frozen(pipeline: Pipeline, source: SourceTable): HakiriError {
  return new HakiriError(
    'SCHEMA_FROZEN',
    `pipeline ${pipeline.name}: the source has a new table ${source.name}`,
    { suggestion: `Exclude it in \`tables\`, or set schema = { tables = "evolve" }.` },
  )
}

async function planTable(
  pipeline: Pipeline,
  request: RunRequest,
  source: SourceTable,
  name: string,
  catalog: Catalog,
): Promise<TablePlan> {
  const write = pipeline.tables[source.name]?.write ?? pipeline.write
  const existing = await catalog.table(name)
  if (existing && existing.nextVersion > 0 && existing.mode !== write.mode)
    throw modeChanged(existing, write)
  const resumesStaging = existing?.staging !== null && existing?.staging !== undefined
  const fullRefresh = request.kind === 'run' && request.fullRefresh
  const staged =
    request.kind === 'run' && (write.mode === 'replace' || fullRefresh || resumesStaging)
  if (request.kind === 'backfill') checkBackfill(pipeline, write)
  return {
    source,
    existing,
    write,
    sourceKey: write.mode === 'upsert' ? keyOf(pipeline, write, source) : [],
    staged,
    resumesStaging,
    mode: readMode(pipeline, write, request),
    target: {
      name,
      destination: pipeline.destination,
      mode: write.mode,
      // Known in table names only once the first batch is planned.
      key: existing?.key ?? [],
      partitionBy: existing?.partitionBy ?? [],
    },
  }
}

function modeChanged(existing: TableRow, write: Write): HakiriError {
  return new HakiriError(
    'CONFIG_INVALID',
    `${existing.name} was written with mode ${existing.mode}; it cannot become ${write.mode}`,
    { suggestion: `Set write.mode back to "${existing.mode}", or give the pipeline another name.` },
  )
}

function keyOf(pipeline: Pipeline, write: Write, source: SourceTable): readonly string[] {
  const key = write.key.length > 0 ? write.key : source.key
  if (key.length > 0) return key
  throw new HakiriError(
    'CONFIG_INVALID',
    `pipeline ${pipeline.name}: table ${source.name} has no key to upsert by`,
    {
      suggestion: `Name it: write = { mode = "upsert", key = ["…"] }, or use mode = "append".`,
    },
  )
}

function checkBackfill(pipeline: Pipeline, write: Write): void {
  if (write.mode !== 'upsert' || write.cursor === undefined) {
    throw new HakiriError(
      'BACKFILL_UNSAFE',
      `pipeline ${pipeline.name} writes with mode ${write.mode}: reading a range again would double rows`,
      {
        suggestion: `Use write = { mode = "upsert", key = […], cursor = "…" }, or run with --full-refresh.`,
      },
    )
  }
}

function readMode(pipeline: Pipeline, write: Write, request: RunRequest): ReadMode {
  if (request.kind === 'backfill') {
    assert(write.cursor !== undefined, 'a backfill was checked to have a cursor column')
    return { kind: 'range', column: write.cursor, from: request.from, to: request.to }
  }
  if (pipeline.mode === 'full' || write.cursor === undefined) return { kind: 'full' }
  const kind = write.mode === 'upsert' ? 're-read' : 'hold-back'
  return {
    kind: 'incremental',
    column: write.cursor,
    lag: write.lag === undefined ? undefined : { kind, amount: write.lag },
  }
}

function targetOf(names: ReadonlyMap<string, string>, source: string): string {
  const name = names.get(source)
  assert(name !== undefined, `source table ${source} was described`)
  return name
}

function asSourceShard(names: ReadonlyMap<string, string>): (row: ShardRow) => SourceShard {
  const sources = new Map([...names].map(([source, target]) => [target, source]))
  return (row) => ({
    id: row.shard,
    table: sources.get(row.table) ?? row.table,
    spec: row.spec,
    rowsEstimate: undefined,
  })
}

function planShard(
  request: RunRequest,
  shard: SourceShard,
  table: string,
  known: ReadonlyMap<string, ShardRow>,
): ShardPlan {
  const id =
    request.kind === 'backfill' ? `${shard.id}${BACKFILL}${request.from}..${request.to}` : shard.id
  return {
    shard: { ...shard, id },
    table,
    known: known.get(id),
  }
}

/** Registers tables and shards, and opens the generations that staged tables load into. */
export async function applyRunPlan(
  plan: RunPlan,
  catalog: Catalog,
): Promise<ReadonlyMap<string, TableRow>> {
  const rows = new Map<string, TableRow>()
  for (const { target } of plan.asked) {
    const change = { kind: 'add-table', table: target.name }
    await catalog.requestDecision(target.name, plan.pipeline.name, change)
  }
  for (const table of plan.tables) {
    const row = await catalog.ensureTable(table.target)
    rows.set(row.name, table.staged ? await catalog.beginGeneration(row.name) : row)
  }
  const shards: NewShard[] = plan.shards.map(({ shard, table }) => ({
    pipeline: plan.pipeline.name,
    shard: shard.id,
    table,
    spec: shard.spec,
  }))
  await catalog.ensureShards(shards)
  const staged = new Set(
    plan.tables.filter((table) => table.staged).map((table) => table.target.name),
  )
  // A staged load replaces everything, so shards that the source lost must not hold it up.
  const obsolete = (await catalog.shards(plan.pipeline.name)).filter(
    (row) =>
      staged.has(row.table) &&
      (row.shard.includes(BACKFILL) || plan.gone.some((gone) => gone.shard === row.shard)),
  )
  await catalog.dropShards(
    plan.pipeline.name,
    obsolete.map((row) => row.shard),
  )
  return rows
}
