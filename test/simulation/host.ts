/**
 * One machine with one member on it: the driver of a replica in virtual time. What happens to a member
 * waits in its inbox until the process gets a turn, so that a pause or a blocked event loop (P2, P3) holds
 * everything up at once; each turn takes all that waits and then carries out the effects in order.
 */
import { PROTOCOLS } from '../../coord/node/protocol.ts'
import type { ProtocolRange } from '../../coord/node/protocol.ts'
import { createReplica } from '../../coord/node/replica.ts'
import type {
  Effect,
  Outgoing,
  Replica,
  ReplicaConfig,
  ReplicaStart,
  Request,
  Result,
} from '../../coord/node/types.ts'
import type { PeerMessage } from '../../coord/node/transport.ts'
import type { MemberId, Message } from '../../coord/raft/types.ts'
import { loadState, startFrom } from './boot.ts'
import type { ImageState } from './image-disk.ts'
import type { MachineClock } from './machine-clock.ts'
import type { Dice } from './random.ts'
import type { Storage } from './storage.ts'
import type { Timeline } from './timeline.ts'

export type SnapshotMessage = Message & { readonly kind: 'snapshot' }

/** What a host needs of the world around it. */
export type HostWorld = {
  readonly timeline: Timeline
  readonly send: (from: MemberId, out: Outgoing) => void
  readonly sendSnapshot: (
    from: MemberId,
    to: MemberId,
    message: SnapshotMessage,
    image: ImageState,
  ) => void
  /** Before anything of these effects is carried out. */
  readonly looked: (host: Host, effects: readonly Effect[]) => void
  readonly started: (host: Host, start: ReplicaStart) => void
  readonly ended: (host: Host, why: string) => void
}

export type Host = {
  readonly member: MemberId
  readonly clock: MachineClock
  readonly storage: Storage
  /** Undefined while the process is down. */
  replica(): Replica | undefined
  /** False if what is on the disk is refused. */
  start(): boolean
  stop(why: string, isPowerLoss: boolean): void
  /** The process does nothing for a while; the world goes on. */
  pause(ms: number): void
  isPaused(): boolean
  /** How many lives the process had. */
  lives(): number
  /** What the process runs, or ran last. */
  program(): ProtocolRange
  greeted(from: MemberId, spoken: ProtocolRange): void
  receive(from: MemberId, message: PeerMessage): void
  receiveSnapshot(
    message: SnapshotMessage,
    image: ImageState,
    done: (isTaken: boolean) => void,
  ): void
  snapshotSent(to: MemberId, isDelivered: boolean): void
  unreachable(member: MemberId): void
  gone(member: MemberId): void
  submit(request: Request, answer: (result: Result) => void): void
  /** Does something in the process's next turn, while it lives. */
  atTurn(act: (replica: Replica) => void): void
}

export type HostSetup = {
  readonly member: MemberId
  readonly config: (life: number) => ReplicaConfig
  readonly clock: MachineClock
  readonly storage: (failed: (why: string) => void) => Storage
  readonly dice: Dice
  /** Timers come late by up to so much of a tick (C3). */
  readonly timerSlack: number
}

type Life = {
  readonly replica: Replica
  readonly waiting: Map<number, (result: Result) => void>
  readonly inbox: (() => void)[]
  arrived: { readonly image: ImageState; readonly done: (isTaken: boolean) => void } | undefined
  isTurnPlanned: boolean
  nextRequest: number
}

const TURN_MS = 0.05

export function createHost(world: HostWorld, setup: HostSetup): Host {
  const { timeline } = world
  const { member, clock, dice } = setup
  const storage = setup.storage((why) => stop(why, true))
  let life: Life | undefined
  let lives = 0
  let pausedUntil = 0
  const nowMs = (): number => clock.at(timeline.now())

  function input(act: () => void, of = life): void {
    if (!of || of !== life) return
    of.inbox.push(act)
    planTurn(of)
  }

  function planTurn(of: Life): void {
    if (of.isTurnPlanned) return
    of.isTurnPlanned = true
    const delay = Math.max(TURN_MS, pausedUntil - timeline.now())
    timeline.after(delay, () => {
      of.isTurnPlanned = false
      if (of !== life) return
      if (timeline.now() < pausedUntil) planTurn(of)
      else turn(of)
    })
  }

  function turn(of: Life): void {
    for (const act of of.inbox.splice(0)) act()
    if (of.replica.hasWork()) of.replica.work(nowMs())
    const effects = of.replica.takeEffects()
    world.looked(host, effects)
    for (const effect of effects) if (of === life) perform(of, effect)
    if (of === life && (of.replica.hasWork() || of.inbox.length > 0)) planTurn(of)
  }

  function perform(of: Life, effect: Effect): void {
    const { replica } = of
    switch (effect.kind) {
      case 'send':
        return world.send(member, effect)
      case 'send-snapshot':
        return sendSnapshot(effect)
      case 'persist':
        return storage.persist(effect.batch, () =>
          input(() => {
            for (const out of effect.thenSend) world.send(member, out)
            replica.persisted(effect.number, nowMs())
          }, of),
        )
      case 'image':
        return storage.writeImage(effect.batch, () =>
          input(() => replica.imageWritten(effect.batch.mark, nowMs()), of),
        )
      case 'install':
        return install(of, effect)
      case 'answer':
        of.waiting.get(effect.request)?.(effect.result)
        return void of.waiting.delete(effect.request)
      case 'members':
        return undefined
      case 'release':
        return storage.release(effect.image, effect.log)
      case 'form':
        return storage.form(effect.formation, () => input(() => replica.formed(nowMs()), of))
      case 'stop':
        return stop(effect.reason.kind, false)
    }
  }

  function sendSnapshot({ to, message, image }: Effect & { readonly kind: 'send-snapshot' }): void {
    const newest = storage.image.state()
    if ((newest.mark?.index ?? 0) < image)
      throw new Error(`the image is behind the log, which begins at ${image}`)
    world.sendSnapshot(member, to, message, newest)
  }

  function install(of: Life, { mark }: Effect & { readonly kind: 'install' }): void {
    const { arrived } = of
    of.arrived = undefined
    if (!arrived) throw new Error('a snapshot is to be installed, but none lies ready')
    const image = { records: arrived.image.records, mark }
    storage.install(image, () =>
      input(() => {
        const state = loadState(setup.config(lives).limits, image)
        of.replica.snapshotInstalled(state, nowMs())
        arrived.done(true)
      }, of),
    )
  }

  function tick(of: Life): void {
    const { tickMs } = setup.config(lives)
    const late = dice.chance(0.1) ? dice.float() * setup.timerSlack : 0
    // The machine's own clock decides when its timer fires.
    const rate = Math.max(0.1, clock.at(timeline.now() + 1) - nowMs())
    timeline.after((tickMs * (1 + late)) / rate, () => {
      if (of !== life) return
      const isPaused = timeline.now() < pausedUntil
      const missed = isPaused ? pausedUntil - timeline.now() : 0
      input(() => of.replica.tick(nowMs()), of)
      timeline.after(missed, () => tick(of))
    })
  }

  function start(): boolean {
    const start = startFrom(setup.config(lives).limits, storage)
    if (!start) return false
    lives++
    const replica = createReplica(setup.config(lives), start)
    life = {
      replica,
      waiting: new Map(),
      inbox: [],
      arrived: undefined,
      isTurnPlanned: false,
      nextRequest: 1,
    }
    pausedUntil = 0
    world.started(host, start)
    planTurn(life)
    tick(life)
    return true
  }

  function stop(why: string, isPowerLoss: boolean): void {
    if (!life) return
    life = undefined
    storage.crash(isPowerLoss)
    world.ended(host, why)
  }

  const host: Host = {
    member,
    clock,
    storage,
    replica: () => life?.replica,
    start,
    stop,
    pause: (ms) => void (pausedUntil = Math.max(pausedUntil, timeline.now() + ms)),
    isPaused: () => timeline.now() < pausedUntil,
    lives: () => lives,
    program: () => setup.config(lives).protocols ?? PROTOCOLS,
    greeted: (from, spoken) => input(() => life?.replica.greeted(from, spoken, nowMs())),
    receive: (from, message) => input(() => life?.replica.receive(from, message, nowMs())),
    receiveSnapshot(message, image, done) {
      input(() => {
        if (!life) return
        if (life.arrived) return done(false)
        life.arrived = { image, done }
        if (life.replica.snapshotArrived(message, nowMs())) return
        life.arrived = undefined
        done(false)
      })
    },
    snapshotSent: (to, isDelivered) =>
      input(() => life?.replica.snapshotSent(to, isDelivered, nowMs())),
    unreachable: (peer) => input(() => life?.replica.unreachable(peer)),
    gone: (peer) => input(() => life?.replica.gone(peer, nowMs())),
    submit(request, answer) {
      input(() => {
        if (!life) return
        const number = life.nextRequest++
        life.waiting.set(number, answer)
        life.replica.submit(number, request, nowMs())
      })
    },
    atTurn: (act) => input(() => life && act(life.replica)),
  }
  return host
}
