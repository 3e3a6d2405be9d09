/**
 * Many keys under reads, ranges, transactions over several of them and deletes, for a check by
 * revision. Each transaction that writes also puts a key of its own under `w/`, and keys under `p/` are
 * written once, so that at the end it is known of every write whether it has landed, and when.
 */
import { endOf } from '../store-model.ts'
import type { Compare, KvRequest, KvResponse, Step } from '../types.ts'
import { startWatchers } from './watchers.ts'
import {
  chance,
  insist,
  isOver,
  lastActor,
  pick,
  plainly,
  runActors,
  type Actor,
  type Work,
} from './work.ts'

const ACTORS = 6
const KEYS = 24
const BACK_MAX = 30
const COMPACT_KEEPS = 40

/** Watches start before the first write; the last write is one that each of them must see. */
export async function runManyKeys(work: Work): Promise<void> {
  const whole = plainly({ kind: 'get', key: work.prefix, end: endOf(work.prefix) })
  const last = lastActor(work)
  const first = await insist(work, last, () => whole)
  if (!first) return
  const names = Array.from({ length: KEYS }, (_, at) => nameOf(work, at))
  const ranges = [
    { key: work.prefix, end: endOf(work.prefix) },
    { key: `${work.prefix}m/`, end: `${work.prefix}m0` },
    { key: names[0]!, end: names[KEYS / 2]! },
    { key: `${work.prefix}p/`, end: `${work.prefix}p0` },
  ]
  const watchers = startWatchers(work, ranges, first.revision + 1)
  await runActors(work, ACTORS, (actor) => act(work, actor, names))
  const end = await insist(work, last, () =>
    witnessed(work, last, [
      { kind: 'put', key: names[0]!, value: '' },
      { kind: 'put', key: `${work.prefix}p/~${last.token()}`, value: '' },
    ]),
  )
  await watchers.finish(end?.revision)
  // Not before: a write that was given up may land late, and what a watch has shown of it must be known.
  const audit = end && (await insist(work, last, () => whole))
  if (end && audit) work.recorder.close(end.revision)
}

const nameOf = ({ prefix }: Work, at: number): string => `${prefix}m/${String(at).padStart(2, '0')}`

/** A transaction whose puts carry a token of their own, one of them under a key of its own. */
function witnessed(
  work: Work,
  actor: Actor,
  steps: readonly Step[],
  compare: readonly Compare[] = [],
): KvRequest {
  const value = actor.token()
  const writes = steps.map((step) => (step.kind === 'put' ? { ...step, value } : step))
  const witness: Step = { kind: 'put', key: `${work.prefix}w/${value}`, value }
  const otherwise = compare.map(({ key }): Step => ({ kind: 'get', key }))
  return { kind: 'kv', compare, success: [...writes, witness], failure: otherwise }
}

type Memory = {
  /** The last revision heard of. */
  revision: number
  /** Mod revisions as last seen; 0 where there was nothing. */
  readonly mods: Map<string, number>
  /** Keys under `p/` that were written and not yet deleted. */
  readonly own: string[]
}

async function act(work: Work, actor: Actor, names: readonly string[]): Promise<void> {
  const memory: Memory = { revision: 0, mods: new Map(), own: [] }
  while (!isOver(work)) {
    if (work.compacts && memory.revision > COMPACT_KEEPS && chance(work, 0.004)) {
      await actor.call({ kind: 'compact', revision: memory.revision - COMPACT_KEEPS })
      continue
    }
    const request = chooseRequest(work, actor, names, memory)
    const response = await actor.ask(request)
    if (response) remember(memory, request, response)
  }
}

function remember(memory: Memory, request: KvRequest, response: KvResponse): void {
  memory.revision = Math.max(memory.revision, response.revision)
  const steps = response.succeeded ? request.success : request.failure
  for (const [at, step] of steps.entries()) {
    const result = response.results[at]
    if (step.kind === 'put') memory.mods.set(step.key, response.revision)
    if (step.kind === 'put' && /p\/[^/]*$/.test(step.key) && steps.length === 1)
      memory.own.push(step.key)
    if (result?.kind !== 'got') continue
    if (step.kind === 'get' && step.end === undefined) memory.mods.set(step.key, 0)
    for (const { key, mod } of result.kvs) memory.mods.set(key, mod)
  }
}

function chooseRequest(
  work: Work,
  actor: Actor,
  names: readonly string[],
  memory: Memory,
): KvRequest {
  const lot = work.random.float()
  if (lot < 0.4) return chooseRead(work, names, memory)
  if (lot < 0.52) {
    const value = actor.token()
    return plainly({ kind: 'put', key: `${work.prefix}p/${value}`, value })
  }
  const mine = lot < 0.58 ? memory.own.shift() : undefined
  if (mine !== undefined) return plainly({ kind: 'delete', key: mine })
  if (lot < 0.64) {
    const at = Math.floor(work.random.float() * (KEYS - 3))
    const some = { key: names[at]!, end: names[at + 3]! }
    return witnessed(work, actor, [{ kind: 'delete', ...some }])
  }
  const keys = pickSome(work, names)
  const [first] = keys
  const steps = keys.map((key): Step => {
    if (chance(work, 0.15)) return { kind: 'delete', key }
    return { kind: 'put', key, value: '' }
  })
  const than = memory.mods.get(first!)
  const isConditional = than !== undefined && chance(work, 0.6)
  const compare: Compare[] = isConditional ? [{ key: first!, target: 'mod', is: '=', than }] : []
  return witnessed(work, actor, steps, compare)
}

/** One to three different keys. */
function pickSome(work: Work, names: readonly string[]): readonly string[] {
  const count = 1 + Math.floor(work.random.float() * 3)
  return [...new Set(Array.from({ length: count }, () => pick(work, names)))]
}

function chooseRead(work: Work, names: readonly string[], memory: Memory): KvRequest {
  const one = { kind: 'get', key: pick(work, names) } as const
  const all = { kind: 'get', key: `${work.prefix}m/`, end: `${work.prefix}m0` } as const
  const owned = { kind: 'get', key: `${work.prefix}p/`, end: `${work.prefix}p0` } as const
  const lot = work.random.float()
  if (lot < 0.35) return plainly(one)
  if (lot < 0.5) return plainly(all)
  if (lot < 0.53) return plainly(owned)
  if (lot < 0.68)
    return plainly(...pickSome(work, names).map((key): Step => ({ kind: 'get', key })), one)
  if (lot < 0.85) return { ...plainly(chance(work, 0.5) ? one : all), isSerializable: true }
  const atRevision = memory.revision - Math.floor(work.random.float() * BACK_MAX)
  return atRevision > 0 ? { ...plainly(all), atRevision } : plainly(all)
}
