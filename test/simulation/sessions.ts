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

/** Many leases, each with a key, that nobody renews: they end all at once (L3). */
export function grantMany(world: SessionWorld, client: number, dice: Dice, number: number): void {
  for (let nth = 0; nth < number; nth++)
    grant(world, client, dice, 1 + dice.int(2), (lease) => {
      const running = world.cluster.running()
      if (lease === undefined || running.length === 0) return
      write(
        world,
        client,
        dice.pick(running),
        commandOf(putOf(`mass/${nth}`, `#m${client}.${lease}|`, lease)),
      )
    })
}
