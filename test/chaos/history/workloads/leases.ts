/**
 * Leases from their grant to their end, two keys on each: renewed a few times by hand, then revoked or
 * left alone until somebody sees that they are gone.
 */
import { endOf } from '../store-model.ts'
import { startWatchers } from './watchers.ts'
import { chance, insist, isOver, lastActor, think, plainly, runActors } from './work.ts'
import type { Actor, Work } from './work.ts'

const ACTORS = 6
const RENEWALS_MAX = 4
const LOOK_MS = 200

export async function runLeases(work: Work): Promise<void> {
  const range = { key: work.prefix, end: endOf(work.prefix) }
  const last = lastActor(work)
  const first = await insist(work, last, () => plainly({ kind: 'get', ...range }))
  if (!first) return
  const watchers = startWatchers(work, [range], first.revision + 1)
  await runActors(work, ACTORS, async (actor) => {
    while (!isOver(work)) await live(work, actor)
  })
  const end = await insist(work, last, () => {
    const value = last.token()
    // A key for each attempt: one that was not answered may have landed.
    return plainly({ kind: 'put', key: `${work.prefix}end/${value}`, value })
  })
  await watchers.finish(end?.revision)
  // Not before: a write that was given up may land late, and what a watch has shown of it must be known.
  const audit = end && (await insist(work, last, () => plainly({ kind: 'get', ...range })))
  if (end && audit) work.recorder.close(end.revision)
}

/** One lease; its end is waited for unless everything is given up. */
async function live(work: Work, actor: Actor): Promise<void> {
  const ttl = 2 + Math.floor(work.random.float() * 3)
  const granted = await actor.call({ kind: 'grant', ttlSeconds: ttl })
  if (granted.kind !== 'ok' || granted.response.kind !== 'lease') return
  const { lease, ttlSeconds } = granted.response
  const value = actor.token()
  const names = ['a', 'b'].map((part) => `${work.prefix}l/${value}/${part}`)
  const written = await actor.ask(
    plainly(...names.map((key) => ({ kind: 'put', key, value, lease }) as const), {
      kind: 'put',
      key: `${work.prefix}w/${value}`,
      value,
    }),
  )
  const renewals = Math.floor(work.random.float() * (RENEWALS_MAX + 1))
  for (let at = 0; at < renewals && !isOver(work); at++) {
    await think(work, ttlSeconds * 600)
    if (chance(work, 0.3)) await actor.call({ kind: 'remaining', lease })
    await actor.call({ kind: 'renew', lease })
  }
  if (chance(work, 0.3)) await actor.call({ kind: 'revoke', lease })
  if (!written) return
  while (!work.giveUp.aborted) {
    const seen = await actor.ask(plainly({ kind: 'get', key: names[0]! }))
    const [result] = seen?.results ?? []
    if (result?.kind === 'got' && result.kvs.length === 0) return
    await think(work, LOOK_MS)
  }
}
