/** The commands of a cluster as processes, over a catalog that a cluster at work left, with no worker. */
import { spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { Catalog } from '../../catalog/catalog.ts'
import { openCatalog } from '../../catalog/open.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { hashToken } from '../../worker/http/access.ts'
import { CLUSTER_TOML, seedCluster } from '../support/cluster-catalog.ts'
import { startPostgres, type Postgres } from '../support/postgres.ts'
import { createProject, finished, HAKIRI, type Envelope, type Project } from '../support/project.ts'
import { openTerminal } from '../support/terminal.ts'

const deps = { clock: systemClock, random: systemRandom }
let postgres: Postgres
test.before(async () => {
  postgres = await startPostgres()
})
test.after.always(() => postgres?.[Symbol.asyncDispose]())

type Lab = { readonly project: Project; readonly catalog: Catalog }

async function open(t: ExecutionContext, seeded = true): Promise<Lab> {
  const project = await createProject(CLUSTER_TOML)
  await mkdir(join(project.folder, '.hakiri'))
  const catalog = await openCatalog(join(project.folder, '.hakiri/catalog.db'), deps)
  t.teardown(async () => {
    await catalog[Symbol.asyncDispose]()
    await project[Symbol.asyncDispose]()
  })
  if (seeded) await seedCluster(catalog, Date.now())
  return { project, catalog }
}

async function result<T>(t: ExecutionContext, project: Project, ...args: string[]): Promise<T> {
  const { code, envelope, stderr } = await project.json(...args)
  t.is(code, 0, `${args.join(' ')}: ${JSON.stringify(envelope.error)} ${stderr}`)
  return envelope.result as T
}

async function fails(
  t: ExecutionContext,
  project: Project,
  code: string,
  ...args: string[]
): Promise<NonNullable<Envelope['error']>> {
  const { envelope } = await project.json(...args)
  t.false(envelope.ok, args.join(' '))
  t.is(envelope.error?.code, code, `${args.join(' ')}: ${JSON.stringify(envelope)}`)
  return envelope.error!
}

// ── Looking ───────────────────────────────────────────────────────────────────────────────────────

const READERS: readonly (readonly [line: string, human: RegExp, machine: RegExp])[] = [
  ['ps', /1 +shop +run +running .* 1 +0 +2 +w1 2\n/, /"where":\{"w1":2\}/],
  [
    'shards',
    /shop\/held +idle +w1 [^]*shop\/paused +paused [^]*shop\/~run +idle[^]*8 shard\(s\).*next: hakiri shards --why/,
    /"state":"quarantined"/,
  ],
  ['shards --pipeline web', /web\/a +unassigned[^]*1 shard\(s\): 1 unassigned/, /"shard":"a"/],
  ['shards --worker w1', /4 shard\(s\)/, /"holder":"w1"/],
  ['shards --unassigned', /no worker carries zone=us/, /"reason":"no worker carries zone=us"/],
  [
    'shards --why shop/waiting',
    /shop\/waiting is waiting\n {2}failed 2 time\(s\) in run 1, tried again in .*: SOURCE_UNREACHABLE: away\n {2}assigned to w1 for .*\n {2}acquired last by w1, epoch 1/,
    /"facts":\[/,
  ],
  [
    'shards --why shop/quarantined',
    /quarantined after 0 failed run\(s\) in a row: SOURCE_DATA: no[^]*hakiri shard resume shop\/quarantined/,
    /"advice":"Cure the cause/,
  ],
  ['shards --why shop/paused', /paused by hand[^]*hakiri shard resume shop\/paused/, /"advice"/],
  ['shards --why shop/unplaced', /no worker has it: no worker carries zone=us/, /"facts"/],
  ['shards --why shop/~run', /assigned to w1/, /"table":null/],
  [
    'workers',
    /w1 +active +4 +4 +zone=eu[^]*w2 +draining[^]*w3 +away[^]*2 of 3 worker\(s\) present/,
    /"isCordoned":true/,
  ],
  [
    'runs show 1',
    /steward +w1[^]*1 done, 0 failed, 2 to do, 0 stopped[^]*waiting +pending +2/,
    /"parts":\[/,
  ],
  ['runs logs 1', /info +held @ w1 shard-done nothing new/, /"worker":"w1"/],
  ['events', /info +#1 shop\/held @ w1 shard-done nothing new[^]*1 event\(s\)/, /"runId":1/],
  ['events --pipeline web', /0 event\(s\)/, /"result":\[\]/],
  ['token list', /no tokens/, /"result":\[\]/],
  ['apply --dry-run', /equal to version 1; nothing was stored/, /"equal":true/],
]

test('reading commands agree for people and machines, and --quiet is silent', async (t) => {
  const { project } = await open(t)
  for (const [line, forPeople, forMachines] of READERS) {
    const args = line.split(' ')
    const [human, machine, quiet] = await Promise.all([
      project.hakiri(...args),
      project.json(...args),
      project.hakiri(...args, '--quiet'),
    ])
    t.deepEqual([human.code, machine.code, quiet.code], [0, 0, 0], line + human.stderr)
    t.regex(human.stdout, forPeople, line)
    t.regex(machine.stdout, forMachines, line)
    t.deepEqual([human.stderr, quiet.stdout, quiet.stderr], ['', '', ''], line)
  }
})

// Alone: the others write through SQLite, which holds up the whole process on a slow disk, and Postgres ends a
// transaction that says nothing for 15 seconds.
test.serial('--catalog is all that a machine needs: no hakiri.toml, on Postgres too', async (t) => {
  const url = await postgres.newDatabase()
  await using catalog = await openCatalog(url, deps)
  await seedCluster(catalog, Date.now())
  const { project } = await open(t, false)
  project.env['CATALOG'] = url
  await mkdir(join(project.folder, 'elsewhere'))
  for (const line of [
    'ps',
    'shards',
    'workers',
    'events',
    'runs show 1',
    'shard pause shop/held',
  ]) {
    const child = spawn(HAKIRI, [...line.split(' '), '--catalog', 'env:CATALOG', '--json'], {
      cwd: join(project.folder, 'elsewhere'),
      env: project.env,
    })
    const { code, stdout, stderr } = await finished(child)
    t.is(code, 0, `${line}: ${stdout}${stderr}`)
  }
  const held = (await catalog.shards('shop')).find(({ shard }) => shard === 'held')
  t.true(held?.paused)
  const [last] = await catalog.clusterEvents({ afterId: 0, limit: 1, newest: true })
  t.like(last, { kind: 'shard-paused', pipeline: 'shop', shard: 'held' })
  t.regex(JSON.stringify(last?.data), /^\{"by":".+@.+"\}$/)
})

// ── Applying ──────────────────────────────────────────────────────────────────────────────────────

test('apply stores each change once, as the next version, and says what it is', async (t) => {
  const { project, catalog } = await open(t, false)
  const first = await project.hakiri('apply')
  t.is(first.code, 0, first.stderr)
  t.regex(first.stdout, /\+ pipeline shop\n\+ pipeline web\n\+ destination lake\n/)
  t.regex(first.stdout, /⚠ each worker must have env:SHOP_DB for itself/)
  t.regex(first.stdout, /⚠ the catalog is sqlite:.*only workers of this machine/)
  t.regex(first.stdout, /✓ version 1 is stored/)
  t.regex((await project.hakiri('apply')).stdout, /equal to version 1; nothing was stored/)
  await project.write(
    'hakiri.toml',
    CLUSTER_TOML.replace('every = "5m"', 'every = "6m"')
      .replace('[pipelines.web]', '[pipelines.net]')
      .replace('/tmp/lake', 'lake'),
  )
  const dry = await project.hakiri('apply', '--dry-run')
  t.regex(dry.stdout, /without --dry-run this becomes version 2/)
  t.is((await catalog.manifest())?.version, 1)
  const second = await project.hakiri('apply')
  for (const line of [
    '+ pipeline net',
    '- pipeline web',
    '~ pipeline shop: schedule',
    '~ destination lake: url',
    'what is removed runs no more',
    '⚠ destination.lake.url = "lake" is relative',
    '✓ version 2 is stored',
  ])
    t.true(second.stdout.includes(line), `${line}\n${second.stdout}`)
  const stored = await catalog.manifest()
  t.is(stored?.version, 2)
  t.regex(stored?.appliedBy ?? '', /^.+@.+$/)
  t.false(JSON.stringify(stored?.document).includes(project.folder))
  const events = await catalog.clusterEvents({ afterId: 0, limit: 9 })
  t.deepEqual(
    events.map(({ kind }) => kind),
    ['manifest-applied', 'manifest-applied'],
  )
})

test('apply refuses what validate refuses, and replaces what it cannot read', async (t) => {
  const { project, catalog } = await open(t, false)
  await catalog.applyManifest({ format: 99 }, 'h', 'bob@c2')
  const shown = await project.hakiri('apply', '--dry-run')
  t.regex(
    shown.stdout,
    /⚠ manifest version 1 \(applied by bob@c2\) has format 99.*nothing to compare/,
  )
  t.is((await result<{ version: number }>(t, project, 'apply')).version, 2)
  await project.write('hakiri.toml', CLUSTER_TOML.replace('mode = "append"', 'mode = "apend"'))
  const error = await fails(t, project, 'CONFIG_INVALID', 'apply')
  t.regex(error.suggestion ?? '', /append/)
  t.is((await catalog.manifest())?.version, 2)
})

// ── Changing ──────────────────────────────────────────────────────────────────────────────────────

test('an operator pauses, resumes, releases and resets a shard', async (t) => {
  const { project, catalog } = await open(t)
  const row = async (shard: string) =>
    (await catalog.shards('shop')).find((each) => each.shard === shard)!
  await result(t, project, 'shard', 'pause', 'shop/a/b c%')
  t.true((await row('a/b c%')).paused)
  await result(t, project, 'shard', 'resume', 'shop/a/b c%')
  t.false((await row('a/b c%')).paused)
  await result(t, project, 'shard', 'resume', 'shop/quarantined')
  t.is((await row('quarantined')).quarantine, null)
  const { epoch } = await row('waiting')
  await result(t, project, 'shard', 'release', 'shop/waiting')
  t.is((await row('waiting')).epoch, epoch + 1)
  await catalog.setCursor({ pipeline: 'shop', shard: 'held' }, { id: 5 })
  const asked = await fails(t, project, 'USAGE', 'shard', 'reset', 'shop/held')
  t.regex(asked.suggestion ?? '', /--yes/)
  t.deepEqual((await row('held')).cursor, { id: 5 })
  await result(t, project, 'shard', 'reset', 'shop/held', '--yes')
  t.is((await row('held')).cursor, null)
})

test('a reset that would double rows says so, and asks on a terminal', async (t) => {
  const { project, catalog } = await open(t)
  const { runId } = await committed(catalog)
  t.true(runId > 0)
  const error = await fails(t, project, 'USAGE', 'shard', 'reset', 'shop/unplaced')
  t.regex(error.message, /mode append: reading it from the start doubles its rows/)
  const cursorOf = async () =>
    (await catalog.shards('shop')).find(({ shard }) => shard === 'unplaced')?.cursor
  for (const [reply, cursor] of [
    ['n', 9],
    ['y', null],
  ] as const) {
    await using terminal = openTerminal(HAKIRI, ['shard', 'reset', 'shop/unplaced'], {
      cwd: project.folder,
      env: { NO_COLOR: '1' },
    })
    await terminal.waitFor(/doubles its rows\. Go on\? \[y\/N\]/)
    terminal.send(`${reply}\r`)
    await terminal.waitFor(reply === 'y' ? /starts over at the next run/ : /nothing was changed/)
    t.deepEqual(await cursorOf(), cursor)
  }
})

async function committed(catalog: Catalog): Promise<{ readonly runId: number }> {
  const runId = await catalog.createRun({
    pipeline: 'shop',
    kind: 'run',
    worker: 'w',
    shardsTotal: 1,
  })
  const key = { pipeline: 'shop', shard: 'unplaced' }
  const generation = (await catalog.table('shop.orders'))?.generation ?? 0
  const row = await catalog.acquireShard(key, generation)
  const outcome = await catalog.commit({
    ...key,
    runId,
    epoch: row.epoch,
    expectedSeq: row.seq,
    generation: row.generation,
    cursor: 9,
    done: true,
    changes: [],
    state: {},
    counters: {},
  })
  if (outcome.kind !== 'committed') throw new Error(JSON.stringify(outcome))
  return { runId }
}

test('drain waits until the planner has moved everything, uncordon lifts it', async (t) => {
  const { project, catalog } = await open(t)
  const drained = await result<{ isCordoned: boolean }>(t, project, 'drain', 'w1')
  t.true(drained.isCordoned)
  const late = await fails(t, project, 'CANCELLED', 'drain', 'w1', '--wait', '--timeout', '1ms')
  t.regex(late.message, /w1 still has 4 shard\(s\) or offices/)
  const child = project.start(HAKIRI, 'drain', 'w1', '--wait')
  const saying = new Promise<void>((resolve) => {
    child.stderr?.on('data', (text: Buffer) => {
      if (text.toString().includes('4 shard(s) and offices left on w1')) resolve()
    })
  })
  const ended = finished(child)
  await saying
  const epoch = await catalog.acquirePlanner('w3')
  await catalog.recordPlacements(epoch, [])
  await catalog.acquireShards(
    ['a/b c%', 'waiting'].map((shard) => ({ pipeline: 'shop', shard, generation: 0 })),
    'w3',
  )
  const { code, stdout } = await ended
  t.is(code, 0)
  t.regex(stdout, /w1 has given back everything/)
  const back = await result<{ isCordoned: boolean }>(t, project, 'uncordon', 'w1')
  t.false(back.isCordoned)
})

test('a run is asked for, followed to its end, and cancelled', async (t) => {
  const { project, catalog } = await open(t)
  const [asked] = await result<{ run: number }[]>(t, project, 'run', 'web', '--cluster')
  t.like((await catalog.openRuns()).at(-1), { id: asked?.run, pipeline: 'web', kind: 'run' })
  t.regex((await project.hakiri('ps')).stdout, /2 +web +run +queued/)
  t.deepEqual(await result(t, project, 'runs', 'cancel', '2'), { run: 2, outcome: 'cancelled' })
  t.deepEqual(await result(t, project, 'runs', 'cancel', '1'), { run: 1, outcome: 'asked' })
  t.deepEqual(await result(t, project, 'runs', 'cancel', '2'), { run: 2, outcome: 'over' })
  const child = project.start(HAKIRI, 'run', 'web', '--cluster', '--wait', '--full-refresh')
  const queued = new Promise<void>((resolve) => {
    child.stderr?.on('data', (text: Buffer) => {
      if (text.toString().includes('run 3 of web is queued')) resolve()
    })
  })
  const ended = finished(child)
  await queued
  const run = await catalog.takeRun(3, 'w1')
  t.like(run, { kind: 'full-refresh', request: { kind: 'run', fullRefresh: true } })
  await catalog.startRun(3, run!.epoch, null, [])
  await catalog.closeRun(3, run!.epoch)
  const end = { shardsDone: 0, shardsFailed: 0, error: null }
  await catalog.endRun(3, run!.epoch, { status: 'succeeded', ...end })
  const { code, stdout, stderr } = await ended
  t.is(code, 0, stderr)
  t.regex(stdout, /3 +web +succeeded[^]*✓ 0 rows/)
})

test('a followed run that ends badly fails the command; Ctrl-C only stops watching', async (t) => {
  const { project, catalog } = await open(t)
  const watching = (line: RegExp, ...args: string[]) => {
    const child = project.start(HAKIRI, ...args)
    const said = new Promise<void>((resolve) => {
      child.stderr?.on('data', (text: Buffer) => {
        if (line.test(text.toString())) resolve()
      })
    })
    return { child, said, ended: finished(child) }
  }
  const first = watching(/run 2 of web is queued/, 'run', 'web', '--cluster', '--wait')
  await first.said
  first.child.kill('SIGINT')
  const stopped = await first.ended
  t.is(stopped.code, 130)
  t.regex(stopped.stdout, /no longer watched; the workers go on/)
  t.is((await catalog.run(2))?.status, 'queued')
  const second = watching(/run 3 of web is queued/, 'run', 'web', '--cluster', '--wait')
  await second.said
  t.is(await catalog.cancelRun(3), 'cancelled')
  const failed = await second.ended
  t.is(failed.code, 1)
  t.regex(failed.stdout, /1 of 1 run\(s\) ended badly; next: hakiri runs show 3/)
})

test('events are followed as they happen, as text or as JSON lines', async (t) => {
  const { project, catalog } = await open(t)
  const child = project.start(HAKIRI, 'events', '--follow', '--ndjson', '--pipeline', 'shop')
  let text = ''
  const waiting = new Set<() => void>()
  child.stdout?.on('data', (part: Buffer) => {
    text += part.toString()
    for (const look of waiting) look()
  })
  const until = (pattern: RegExp) =>
    new Promise<void>((resolve) => {
      const look = (): void => {
        if (pattern.test(text)) resolve()
      }
      waiting.add(look)
      look()
    })
  await until(/shard-done/)
  const told = {
    at: 1,
    level: 'info',
    runId: null,
    shard: null,
    worker: null,
    kind: 'told',
    data: null,
  }
  await catalog.addClusterEvents([
    { ...told, level: 'info', pipeline: 'web', message: 'not this' },
    { ...told, level: 'info', pipeline: 'shop', message: 'this' },
  ])
  await until(/"message":"this"/)
  child.kill('SIGINT')
  const { code } = await finished(child)
  t.is(code, 130)
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { message: string })
  t.deepEqual(
    lines.map(({ message }) => message),
    ['nothing new\nhere', 'this'],
  )
})

test('a token is shown once, kept as a hash, listed and revoked', async (t) => {
  const { project, catalog } = await open(t, false)
  const made = await project.hakiri(
    'token',
    'create',
    'ci',
    '--scope',
    'operate',
    '--expires',
    '90d',
  )
  t.is(made.code, 0, made.stderr)
  const token = /^(hk_[\w-]{43})\n/.exec(made.stdout)?.[1] ?? ''
  const [row] = await catalog.tokens()
  t.like(row, { name: 'ci', scope: 'operate', hash: hashToken(token) })
  const days = ((row?.expiresAt ?? 0) - (row?.createdAt ?? 0)) / 86_400_000
  t.true(Math.abs(days - 90) < 0.01)
  const quiet = await project.hakiri('token', 'create', 'bot', '--quiet')
  t.regex(quiet.stdout, /^hk_[\w-]{43}\n$/)
  const list = await project.hakiri('token', 'list')
  t.regex(list.stdout, /bot +read .* never\nci +operate .*\d{4}-\d\d-\d\dT/)
  t.false(list.stdout.includes(token.slice(3)) || list.stdout.includes(hashToken(token)))
  await result(t, project, 'token', 'revoke', 'ci')
  t.deepEqual(
    (await catalog.tokens()).map(({ name }) => name),
    ['bot'],
  )
})

// ── Bad input ─────────────────────────────────────────────────────────────────────────────────────

const BAD: readonly (readonly [code: string, args: readonly string[], advice: RegExp])[] = [
  ['NOT_FOUND', ['shards', '--why', 'shop/helt'], /Did you mean shop\/held\?/],
  ['NOT_FOUND', ['shards', '--pipeline', 'shp'], /Did you mean shop\?/],
  ['NOT_FOUND', ['shards', '--worker', 'w9'], /Did you mean w1\?/],
  ['NOT_FOUND', ['drain', 'nobody-of-that-name'], /hakiri workers/],
  ['NOT_FOUND', ['uncordon', 'w9'], /Did you mean w1\?/],
  ['NOT_FOUND', ['shard', 'pause', 'shop/helt'], /Did you mean shop\/held\?/],
  ['NOT_FOUND', ['shard', 'release', 'shpo/held'], /shop\/held/],
  ['NOT_FOUND', ['shard', 'reset', 'shop/helt', '--yes'], /Did you mean shop\/held\?/],
  ['NOT_FOUND', ['runs', 'cancel', '99'], /hakiri runs/],
  ['NOT_FOUND', ['runs', 'show', '99'], /hakiri runs/],
  ['NOT_FOUND', ['run', 'shp', '--cluster'], /Did you mean shop\?/],
  ['NOT_FOUND', ['run', 'shop', '--cluster', '--shard', 'helt'], /shop\/held/],
  ['NOT_FOUND', ['token', 'revoke', 'ci'], /hakiri token list/],
  ['USAGE', ['shards', '--why', 'held'], /PIPELINE\/SHARD/],
  ['USAGE', ['shard', 'pause', 'shop/'], /PIPELINE\/SHARD/],
  ['USAGE', ['drain', 'w1', '--timeout', 'soon'], /30s or 90d/],
  ['USAGE', ['events', '--run', 'x'], /^$/],
  ['USAGE', ['events', '--follow'], /--ndjson/],
  ['USAGE', ['token', 'create', 'CI'], /a-z/],
  ['USAGE', ['token', 'create', 'ci', '--scope', 'reed'], /Did you mean "read"\?/],
  ['USAGE', ['token', 'create', 'ci', '--expires', '0d'], /90d/],
  ['USAGE', ['run', 'shop', '--wait'], /--cluster/],
  ['USAGE', ['shard', 'stop', 'shop/held'], /pause|release|reset/],
]

test('bad input is refused with its code and what to do', async (t) => {
  const { project } = await open(t)
  for (const [code, args, advice] of BAD) {
    const error = await fails(t, project, code, ...args)
    t.regex(error.suggestion ?? '', advice, args.join(' '))
  }
})

test('without an applied manifest, and with too many waiting, a run is refused', async (t) => {
  const { project, catalog } = await open(t, false)
  const none = await fails(t, project, 'NOT_FOUND', 'run', 'shop', '--cluster')
  t.regex(none.suggestion ?? '', /hakiri apply/)
  await seedCluster(catalog, Date.now())
  for (let n = 0; n < 10; n++)
    await catalog.requestRun({
      pipeline: 'web',
      kind: 'run',
      request: null,
      trigger: 'manual',
      fireKey: null,
      scheduledAt: n,
      overlap: 'queue',
      manifestVersion: 1,
      by: 'x',
    })
  await fails(t, project, 'RUNS_WAITING', 'run', 'web', '--cluster')
})

test('each command of the cluster has help with an example that its grammar takes', async (t) => {
  const { project } = await open(t)
  for (const line of [
    'apply',
    'ps',
    'shards',
    'workers',
    'drain',
    'shard reset',
    'events',
    'token create',
  ]) {
    const { code, stdout } = await project.hakiri(...line.split(' '), '--help')
    t.is(code, 0)
    t.regex(stdout, new RegExp(`Examples:\\n {2}\\$ hakiri ${line}`))
  }
  const { stdout } = await project.hakiri('completion', 'bash')
  t.regex(stdout, /shard\) .*children="pause resume release reset"/)
  t.regex(stdout, /--scope\) COMPREPLY=.*read operate admin/)
})
