/**
 * A few contested keys: each a register that up to eight clients read, write, exchange and delete at
 * once. Invariant: a key gets no more operations than a search for their order can take.
 */
import type { KvRequest } from '../types.ts'
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

const KEYS = 3
const CLIENTS_MAX = 8
const OPERATIONS_MAX = 490

/** Runs until the keys are used up, the time is over or it is stopped. */
export async function runRegisters(work: Work): Promise<void> {
  const left = new Map(
    Array.from({ length: KEYS }, (_, at) => [`${work.prefix}r${at}`, OPERATIONS_MAX]),
  )
  await runActors(work, CLIENTS_MAX, async (actor) => {
    const seen = new Map<string, string | undefined>()
    while (!isOver(work)) {
      const open = [...left.keys()].filter((key) => left.get(key)! > 0)
      if (open.length === 0) return
      const key = pick(work, open)
      left.set(key, left.get(key)! - 1)
      const request = chooseRequest(work, actor, key, seen.get(key))
      const response = await actor.ask(request)
      const [result] = response?.results ?? []
      const step = request.success[0]
      if (result?.kind === 'got') seen.set(key, result.kvs[0]?.value)
      else if (step?.kind === 'put') seen.set(key, step.value)
      else seen.delete(key)
    }
  })
  let revision = 0
  const last = lastActor(work)
  for (const key of left.keys()) {
    const response = await insist(work, last, () => plainly({ kind: 'get', key }))
    if (!response) return
    revision = response.revision
  }
  work.recorder.close(revision)
}

/** `seen` is what the actor found last. */
function chooseRequest(work: Work, actor: Actor, key: string, seen: string | undefined): KvRequest {
  const get = { kind: 'get', key } as const
  const put = { kind: 'put', key, value: actor.token() } as const
  const lot = work.random.float()
  if (lot < 0.3) return plainly(get)
  if (lot < 0.5) return plainly(chance(work, 0.7) ? { ...put, isBlind: true } : put)
  if (lot < 0.62) {
    const remove = { kind: 'delete', key } as const
    return plainly(chance(work, 0.7) ? { ...remove, isBlind: true } : remove)
  }
  const condition =
    seen === undefined
      ? ({ key, target: 'create', is: '=', than: 0 } as const)
      : ({ key, target: 'value', is: '=', than: seen } as const)
  return { kind: 'kv', compare: [condition], success: [{ ...put, isBlind: true }], failure: [get] }
}
