/**
 * Clients that read and write without pause, each one request at a time. A write whose answer does not
 * come is left with an unknown outcome, and the client goes on, often with the same wish anew (L1).
 */
import type { KvCommand } from '../../coord/kv/types.ts'
import type { Result } from '../../coord/node/types.ts'
import type { History } from './checks/history.ts'
import { bytesOf, text } from './checks/model-types.ts'
import { demand } from './checks/violation.ts'
import type { Ask, Cluster, Machine, Told } from './cluster.ts'
import type { Plan } from './plan.ts'
import type { Dice } from './random.ts'
import {
  commandOf,
  deleteOf,
  isAbsent,
  isUnchanged,
  prefixEnd,
  putOf,
  rangeOf,
  txnOf,
} from './requests.ts'
import type { Timeline } from './timeline.ts'

export type ClientWorld = {
  readonly plan: Plan
  readonly timeline: Timeline
  readonly cluster: Cluster
  readonly history: History
  /** Turns false when the faults end: nothing new is begun. */
  readonly isOpen: () => boolean
  /** How many requests wait for an answer or their time to run out. */
  readonly waiting: { count: number }
}

/** A client gives up later than the member does, mostly. */
const PATIENCE_MS = 6000

/** Asks a member and waits so long; `told` is undefined when no answer came. */
export function askFor(
  world: ClientWorld,
  client: number,
  machine: Machine,
  ask: Ask,
  done: (told: Told | undefined) => void,
  patienceMs = PATIENCE_MS,
): void {
  const { cluster, timeline, waiting } = world
  waiting.count++
  let isDone = false
  const finish = (told: Told | undefined): void => {
    if (isDone) return
    isDone = true
    waiting.count--
    done(told)
  }
  const cancel = timeline.after(patienceMs, () => finish(undefined))
  cluster.ask(client, machine, ask, (told) => {
    cancel()
    finish(told)
  })
}

/** Sends a write and holds its answer against the history. */
export function write(
  world: ClientWorld,
  client: number,
  machine: Machine,
  command: KvCommand,
  done: (result: Result | undefined) => void = () => undefined,
): void {
  const { history } = world
  const asked = history.ask()
  const ask: Ask = { kind: 'request', request: { kind: 'propose', command } }
  askFor(world, client, machine, ask, (told) => {
    const result = told?.kind === 'result' ? told.result : undefined
    if (result?.kind === 'applied') history.wrote(asked, command, result.applied)
    if (result?.kind === 'failed' && !result.isUnknown) history.refused(command)
    done(result)
  })
}

export function createClient(world: ClientWorld, client: number, dice: Dice): () => void {
  const { plan, timeline, cluster, history } = world
  const seenAt = new Map<string, number>()
  let [count, home] = [0, dice.int(8)]
  const key = (): string => `k/${dice.int(plan.keys)}`
  const value = (): string =>
    `#${client}.${count++}|${'x'.repeat(dice.int(dice.chance(0.05) ? 2000 : 20))}`

  function member(): Machine | undefined {
    const running = cluster.running()
    if (dice.chance(0.1)) home = dice.int(8)
    return running[home % Math.max(1, running.length)]
  }

  function again(): void {
    if (world.isOpen()) timeline.after(dice.exponential(plan.thinkMs), act)
  }

  function read(machine: Machine): void {
    const asked = history.ask()
    const top = asked.revision
    const wanted = key()
    const isMany = dice.chance(0.4)
    const request = rangeOf(isMany ? 'k/' : wanted, {
      ...(isMany && { rangeEnd: prefixEnd('k/') }),
      serializable: dice.chance(0.25),
      limit: dice.chance(0.2) ? 1 + dice.int(4) : 0,
      keysOnly: dice.chance(0.1),
      countOnly: dice.chance(0.1),
      revision: dice.chance(0.15) ? Math.max(1, top - dice.int(20)) : 0,
      sortOrder: isMany ? dice.int(3) : 0,
      sortTarget: isMany ? dice.pick([0, 0, 2, 3]) : 0,
    })
    askFor(world, client, machine, { kind: 'range', request }, (told) => {
      if (told?.kind === 'range') {
        history.read(asked, request, told.answer, told.revision)
        if (told.answer.ok)
          for (const kv of told.answer.value.kvs) seenAt.set(text(kv.key), kv.modRevision)
      }
      again()
    })
  }

  function drawTxn(): KvCommand {
    const first = key()
    const put = putOf(first, value(), 0n, dice.chance(0.3))
    switch (dice.int(5)) {
      case 0:
        return txnOf([isAbsent(first)], [put], [{ requestRange: rangeOf(first) }])
      case 1:
        return txnOf(
          [isUnchanged(first, seenAt.get(first) ?? 0)],
          [put],
          [{ requestRange: rangeOf(first) }],
        )
      case 2:
        return txnOf([], [put, putOf(`m/${dice.int(3)}`, value())])
      case 3:
        return txnOf(
          [isAbsent(`m/${dice.int(3)}`)],
          [put],
          [put, deleteOf('m/', prefixEnd('m/'), true)],
        )
      case 4:
        return txnOf([], [put, { requestRange: rangeOf('k/', { rangeEnd: prefixEnd('k/') }) }])
    }
    return txnOf([], [put])
  }

  function drawWrite(): KvCommand {
    const lot = dice.float()
    if (lot < 0.5) return commandOf(putOf(key(), value(), 0n, dice.chance(0.2)))
    if (lot < 0.62) return commandOf(deleteOf(key(), new Uint8Array(), dice.chance(0.5)))
    if (lot < 0.66) return commandOf(deleteOf('k/', prefixEnd('k/')))
    // Nobody ever grants this lease.
    if (lot < 0.68) return commandOf(putOf(key(), value(), 99n))
    return drawTxn()
  }

  function act(): void {
    const machine = member()
    if (!machine) return again()
    if (dice.chance(0.4)) return read(machine)
    const command = drawWrite()
    write(world, client, machine, command, (result) => {
      // The same wish once more, under a new name (L1).
      if (!result && command.kind === 'put' && world.isOpen() && dice.chance(0.7)) {
        const other = member()
        const wish = { ...command, request: { ...command.request, value: bytesOf(value()) } }
        if (other) return write(world, client, other, wish, again)
      }
      again()
    })
  }
  return act
}

/** Throws history away now and then. */
export function createCompactor(world: ClientWorld, client: number, dice: Dice): () => void {
  const { plan, timeline, cluster, history } = world
  const act = (): void => {
    const running = cluster.running()
    if (!world.isOpen()) return
    timeline.after(dice.exponential(plan.compactEvery), act)
    if (running.length === 0) return
    const revision = Math.max(1, history.ask().revision - dice.int(30))
    write(
      world,
      client,
      dice.pick(running),
      { kind: 'compact', request: { revision, physical: false } },
      (result) => {
        if (result?.kind !== 'applied' || !result.applied.outcome.ok) return
        demand(
          cluster.truth.model.compactRevision() >= revision,
          'history',
          () => `${revision} is not compacted`,
        )
      },
    )
  }
  return act
}
