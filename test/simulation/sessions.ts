/**
 * Clients that live on leases: they take one, claim keys with it if nobody has them, renew it at a third
 * of its time, give it up or forget it, and begin again.
 */
import { write, askFor } from './clients.ts'
import type { ClientWorld } from './clients.ts'
import type { LeaseChecker } from './checks/leases.ts'
import type { Dice } from './random.ts'
import { commandOf, isAbsent, putOf, txnOf } from './requests.ts'

const CLAIMS = 3

export type SessionWorld = ClientWorld & { readonly leases: LeaseChecker }

/** Grants a lease; `done` gets its id and when the request was sent, or nothing. */
function grant(
  world: SessionWorld,
  client: number,
  dice: Dice,
  ttl: number,
  done: (lease: bigint | undefined) => void,
): void {
  const running = world.cluster.running()
  if (running.length === 0) return done(undefined)
  const id = dice.id()
  const sentMs = world.timeline.now()
  const command = { kind: 'lease-grant', request: { id, ttl } } as const
  write(world, client, dice.pick(running), command, (result) => {
    if (result?.kind !== 'applied' || !result.applied.outcome.ok) return done(undefined)
    world.leases.renewed(id, ttl, sentMs)
    done(id)
  })
}

export function createSession(world: SessionWorld, client: number, dice: Dice): () => void {
  const { plan, timeline, cluster, leases } = world
  const ttl = plan.leaseTtl
  let count = 0

  function begin(): void {
    if (!world.isOpen()) return
    grant(world, client, dice, ttl, (lease) => {
      if (lease === undefined) timeline.after(dice.exponential(500), begin)
      else hold(lease, timeline.now() + dice.exponential(ttl * 6000))
    })
  }

  /** Claims and renews until the end, and then stops in one of several ways. */
  function hold(lease: bigint, untilMs: number): void {
    if (!world.isOpen()) return
    if (timeline.now() > untilMs) return end(lease)
    claim(lease)
    renew(lease, (isAlive) => {
      if (isAlive)
        timeline.after(((ttl * 1000) / 3) * dice.between(0.5, 1.2), () => hold(lease, untilMs))
      else timeline.after(dice.exponential(200), begin)
    })
  }

  function claim(lease: bigint): void {
    const running = cluster.running()
    if (running.length === 0) return
    const key = `claims/${dice.int(CLAIMS)}`
    const put = putOf(key, `#s${client}.${count++}|${lease}`, lease)
    write(world, client, dice.pick(running), txnOf([isAbsent(key)], [put]), (result) => {
      if (result?.kind !== 'applied' || !result.applied.outcome.ok) return
      const { value } = result.applied.outcome
      if (value.kind === 'txn' && value.response.succeeded) leases.claimed(key, client, lease)
    })
  }

  function renew(lease: bigint, done: (isAlive: boolean) => void): void {
    const running = cluster.running()
    if (running.length === 0) return done(true)
    const sentMs = timeline.now()
    const ask = { kind: 'request', request: { kind: 'renew', lease } } as const
    const patienceMs = ttl * 500
    askFor(
      world,
      client,
      dice.pick(running),
      ask,
      (told) => {
        const result = told?.kind === 'result' ? told.result : undefined
        if (result?.kind !== 'lease') return done(true)
        if (result.ttlMs > 0) leases.renewed(lease, ttl, sentMs)
        done(result.ttlMs > 0)
      },
      patienceMs,
    )
  }

  function end(lease: bigint): void {
    const running = cluster.running()
    // Half of them only fall silent.
    if (dice.chance(0.5) && running.length > 0) {
      leases.givenUp(lease)
      write(world, client, dice.pick(running), { kind: 'lease-revoke', request: { id: lease } })
    }
    timeline.after(dice.exponential(300), begin)
  }
  return begin
}

/** Grants under way at a time, so that no member turns most of them away. */
const UNDER_WAY = 2000
/** When many end, counted from the first grant: what is granted later lives shorter. */
const MANY_MS = 8000
/** A key each is enough where leases are few; where they are many it would drown them. */
const KEYS_EVERY = 20

/** Many leases, with keys, that nobody renews: they end all at once (L3). */
export function grantMany(world: SessionWorld, client: number, dice: Dice, number: number): void {
  const isMany = number > UNDER_WAY
  const endMs = world.timeline.now() + MANY_MS
  const ttl = (): number =>
    isMany ? Math.max(1, Math.ceil((endMs - world.timeline.now()) / 1000)) : 1 + dice.int(2)
  let begun = 0
  function next(): void {
    const nth = begun++
    if (nth >= number || (isMany && !world.isOpen())) return
    grant(world, client, dice, ttl(), (lease) => {
      if (lease !== undefined && (!isMany || nth % KEYS_EVERY === 0)) attach(nth, lease)
      if (lease === undefined) world.timeline.after(dice.exponential(200), next)
      else next()
    })
  }
  function attach(nth: number, lease: bigint): void {
    const running = world.cluster.running()
    if (running.length === 0) return
    const put = commandOf(putOf(`mass/${nth}`, `#m${client}.${lease}|`, lease))
    write(world, client, dice.pick(running), put)
  }
  for (let n = 0; n < Math.min(number, UNDER_WAY); n++) next()
}
