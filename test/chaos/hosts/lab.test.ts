/** One suite for both kinds of lab: real programs on its hosts see the links as faults say. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { connect } from 'node:net'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { until } from '../../support/until.ts'
import { type Host, type Lab, RUNNER } from './lab.ts'
import { addFault, bothWays, linkStates, oneWay, SOUND } from './links.ts'
import { openLab, parseLabKind, requireNamespaces } from './open-lab.ts'
import { type Actor, createActor, type LogLine } from './processes.ts'

const PROBE = fileURLToPath(new URL('./probe.ts', import.meta.url))
const PORT = 7000
const WAIT_MS = 10_000

const missing = await requireNamespaces()

type Place = AsyncDisposable & {
  readonly lab: Lab
  readonly server: Host
  readonly client: Host
  /** A program on a host; ended with the place. */
  run(host: Host, ...args: readonly (string | number)[]): Actor
  /** One that listens, when it does. */
  serve(mode?: 'serve' | 'count'): Promise<Actor>
}

async function openPlace(kind: Lab['kind']): Promise<Place> {
  await using cleaning = new AsyncDisposableStack()
  const lab = cleaning.use(await openLab({ kind, seed: 1 }))
  const server = await lab.addHost('server')
  const client = await lab.addHost('client')
  const kept = cleaning.move()
  const run: Place['run'] = (host, mode, ...args) => {
    const actor = createActor({
      host,
      name: `${mode} on ${host.name}`,
      program: process.execPath,
      args: [PROBE, String(mode), ...args.map(String)],
    })
    actor.start()
    return kept.use(actor)
  }
  return {
    lab,
    server,
    client,
    run,
    async serve(mode = 'serve') {
      const actor = run(server, mode, server.address, PORT)
      await next(actor, 'listening')
      return actor
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

function next(
  actor: Actor,
  event: string,
  fits: (line: LogLine) => boolean = () => true,
): Promise<LogLine> {
  return actor.until((line) => line['event'] === event && fits(line), event, WAIT_MS)
}

/** The number of the first beat that was sent from now on, whenever its line is heard. */
async function nextBeat(beating: Actor): Promise<number> {
  const now = Date.now()
  const { n } = await next(beating, 'sent', ({ at }) => Number(at) > now)
  return Number(n)
}

/** Lines of one event from now on. */
function gather(actor: Actor, event: string): LogLine[] {
  const lines: LogLine[] = []
  actor.onLine((line) => {
    if (line['event'] === event) lines.push(line)
  })
  return lines
}

/** A title for each kind; what cannot be had here is skipped with its reason. */
function forEachKind(
  title: string,
  run: (t: ExecutionContext, place: Place) => Promise<void>,
): void {
  for (const kind of ['namespaces', 'proxies'] as const) {
    const name = `${kind}: ${title}`
    const reason = kind === 'namespaces' ? missing : undefined
    const body = async (t: ExecutionContext): Promise<void> => {
      await using place = await openPlace(kind)
      await run(t, place)
    }
    if (reason === undefined) test.serial(name, body)
    else test.skip(`${name} (${reason})`, body)
  }
}

forEachKind('a host is seen at its own address, by hosts and by the runner', async (t, place) => {
  const { server, client, lab } = place
  const serving = await place.serve()
  const accepted = next(serving, 'accepted')
  const beating = place.run(client, 'beat', server.address, PORT)
  await next(beating, 'echo')
  t.is((await accepted)['from'], client.address)
  t.is(new Set([server.address, client.address, lab.runner.address]).size, 3)
  const again = next(serving, 'accepted')
  const socket = connect(PORT, server.address)
  await once(socket, 'data')
  socket.destroy()
  t.is((await again)['from'], lab.runner.address)
})

forEachKind('nobody listens: the dial is refused', async (t, place) => {
  const beating = place.run(place.client, 'beat', place.server.address, PORT)
  t.is((await next(beating, 'failed'))['code'], 'ECONNREFUSED')
})

forEachKind('a cut is silent, for connections old and new, until it heals', async (t, place) => {
  const { server, client, lab } = place
  const serving = await place.serve()
  const beating = place.run(client, 'beat', server.address, PORT)
  await next(beating, 'echo')
  await lab.setLinks(bothWays(['client'], ['server'], { isCut: true }))
  const received = gather(serving, 'received')
  const failed = gather(beating, 'closed')
  const first = await nextBeat(beating)
  const late = place.run(client, 'beat', server.address, PORT)
  const connected = gather(late, 'connected')
  // What was sent before the cut may still be told.
  await next(beating, 'sent', ({ n }) => Number(n) > first + 20)
  t.deepEqual(
    received.filter(({ n }) => Number(n) > first),
    [],
  )
  t.deepEqual([failed, connected], [[], []])
  const healed = [next(beating, 'echo', ({ n }) => Number(n) > first), next(late, 'echo')]
  await lab.setLinks([])
  await Promise.all(healed)
  t.deepEqual(failed, [], 'the old connection has outlived the cut')
})

forEachKind('a cut of one direction leaves the other', async (t, place) => {
  const { server, client, lab } = place
  const serving = await place.serve()
  const beating = place.run(client, 'beat', server.address, PORT)
  await next(beating, 'echo')
  const [sent, received] = [gather(beating, 'sent'), gather(serving, 'received')]
  const ticks = gather(beating, 'tick')
  await lab.setLinks(oneWay(['client'], ['server'], { isCut: true }))
  const first = await nextBeat(beating)
  // The server may send a few before it waits for what cannot come back: they count from the first beat
  // that was lost, however late their lines are heard here.
  await until('ticks go on', async () => {
    const heard = Math.max(0, ...received.map(({ n }) => Number(n)))
    const lost = sent.find(({ n }) => Number(n) > heard)
    return lost !== undefined && ticks.filter(({ at }) => Number(at) > Number(lost.at)).length >= 4
  })
  t.deepEqual(
    received.filter(({ n }) => Number(n) > first),
    [],
  )
  const healed = next(beating, 'echo', ({ n }) => Number(n) > first)
  await lab.setLinks([])
  await healed
})

forEachKind('a delay is of one direction, and faults of one direction add up', async (t, place) => {
  const { server, client, lab } = place
  const serving = await place.serve()
  const slow = { from: 'client', to: 'server' }
  await lab.setLinks([
    { ...slow, delayMs: 60 },
    { ...slow, delayMs: 40 },
  ])
  const there = gather(serving, 'received')
  const back = gather(place.run(client, 'beat', server.address, PORT), 'echo')
  await next(serving, 'received', ({ n }) => n === 20)
  // By the wall clock of this machine, to a millisecond.
  t.true(Math.min(...there.map(({ tookMs }) => Number(tookMs))) >= 99)
  t.true(Math.min(...back.map(({ backMs }) => Number(backMs))) < 60)
})

forEachKind('a slow link takes its time, and is fast when it has healed', async (t, place) => {
  const { server, client, lab } = place
  const serving = await place.serve()
  const bytes = 200_000
  const timeOf = async (): Promise<number> => {
    const taken = next(serving, 'received')
    place.run(client, 'bulk', server.address, PORT, bytes)
    return Number((await taken)['tookMs'])
  }
  await lab.setLinks([{ from: 'client', to: 'server', kbitPerS: 2_000 }])
  const slowMs = await timeOf()
  await lab.setLinks([])
  const fastMs = await timeOf()
  // A burst may be ahead of its time, not more.
  t.true(slowMs > ((bytes * 8) / 2_000) * 0.9, `${slowMs} ms`)
  t.true(slowMs < ((bytes * 8) / 2_000) * 3, `${slowMs} ms`)
  t.true(fastMs < slowMs / 2, `${fastMs} ms`)
})

forEachKind(
  'a connection is half-open while its other end is gone and cut off',
  async (t, place) => {
    const { server, client, lab } = place
    const serving = await place.serve()
    const beating = place.run(client, 'beat', server.address, PORT)
    await next(beating, 'echo')
    await lab.setLinks(bothWays(['client'], ['server'], { isCut: true }))
    await serving.signal('SIGKILL')
    const closed = gather(beating, 'closed')
    const { n: first } = await next(beating, 'sent')
    await next(beating, 'sent', ({ n }) => Number(n) > Number(first) + 20)
    t.deepEqual(closed, [])
    const told = next(beating, 'closed')
    await lab.setLinks([])
    await told
  },
)

forEachKind('links of the runner have faults like any others', async (t, place) => {
  const { server, lab } = place
  await place.serve()
  await lab.setLinks(oneWay(['server'], [RUNNER], { delayMs: 150 }))
  const began = performance.now()
  const socket = connect(PORT, server.address)
  await once(socket, 'data')
  socket.destroy()
  t.true(performance.now() - began >= 150)
})

forEachKind('a host that is unknown, twice there or badly named is refused', async (t, { lab }) => {
  await t.throwsAsync(async () => lab.setLinks([{ from: 'client', to: 'nobody' }]), {
    message: /no host "nobody"/,
  })
  await t.throwsAsync(lab.addHost('client'), { message: /has a host "client" already/ })
  await t.throwsAsync(lab.addHost('Two Words'), { message: /no name for a host/ })
})

const onlyNamespaces = missing === undefined ? test.serial : test.skip
const reason = missing === undefined ? '' : ` (${missing})`

onlyNamespaces(
  `namespaces: packets are lost, doubled and overtaken as often as asked${reason}`,
  async (t) => {
    await using place = await openPlace('namespaces')
    const { server, client, lab } = place
    const sent = 400
    const countOf = async (
      fault: object,
    ): Promise<Record<'seen' | 'doubled' | 'overtaken', number>> => {
      await lab.setLinks([{ from: 'client', to: 'server', ...fault }])
      const counting = await place.serve('count')
      const counted = next(counting, 'counted')
      place.run(client, 'flood', server.address, PORT, sent)
      const { seen, doubled, overtaken } = await counted
      await counting.ended()
      return { seen: Number(seen), doubled: Number(doubled), overtaken: Number(overtaken) }
    }
    const between = (value: number, low: number, high: number, what: string): void => {
      t.true(value >= low && value <= high, `${what}: ${value}`)
    }
    t.deepEqual(await countOf({}), { seen: sent, doubled: 0, overtaken: 0 })
    t.deepEqual(await countOf({ delayMs: 5, jitterMs: 4 }), {
      seen: sent,
      doubled: 0,
      overtaken: 0,
    })
    const lossy = await countOf({ lossPercent: 20 })
    between(lossy.seen, 280, 360, 'seen of 400 at 20 % loss')
    const doubling = await countOf({ duplicatePercent: 20 })
    between(doubling.doubled, 40, 120, 'doubled of 400 at 20 %')
    t.is(doubling.seen, sent)
    const mixing = await countOf({ reorderPercent: 20 })
    between(mixing.overtaken, 40, 120, 'overtaken of 400 at 20 %')
    t.is(mixing.seen, sent)
  },
)

test.serial('proxies: a lost packet is a late one', async (t) => {
  await using place = await openPlace('proxies')
  const { server, client, lab } = place
  const serving = await place.serve()
  await lab.setLinks([{ from: 'client', to: 'server', lossPercent: 20 }])
  const there = gather(serving, 'received')
  place.run(client, 'beat', server.address, PORT)
  await next(serving, 'received', ({ n }) => n === 30)
  t.true(Math.max(...there.map(({ tookMs }) => Number(tookMs))) >= 199)
  t.deepEqual(
    there.map(({ n }) => n),
    there.map((_, index) => index + 1),
  )
})

test('faults of one direction add up to one state', (t) => {
  const states = linkStates([
    { from: 'a', to: 'b', delayMs: 5, lossPercent: 50, kbitPerS: 100 },
    { from: 'a', to: 'b', delayMs: 7, jitterMs: 1, lossPercent: 50, kbitPerS: 50 },
    { from: 'b', to: 'a', isCut: true },
  ])
  t.deepEqual(states.get('a')?.get('b'), {
    ...SOUND,
    delayMs: 12,
    jitterMs: 1,
    lossPercent: 75,
    kbitPerS: 50,
  })
  t.deepEqual(states.get('b')?.get('a'), addFault(SOUND, { from: 'b', to: 'a', isCut: true }))
  t.is(bothWays(['a', 'b'], ['b', 'c'], {}).length, 6, 'a host is never cut from itself')
})

test('a lab is asked for by its kind', (t) => {
  t.is(parseLabKind('namespaces'), 'namespaces')
  t.is(parseLabKind('proxies'), 'proxies')
  t.is(parseLabKind('docker'), undefined)
})
