/**
 * Clients that watch. Some take what there is at once, some seldom and in small bites; when their
 * member goes away, or at a whim, they go on at another one from the first revision they have not seen.
 */
import type { WatchAnswer, WatchStream } from '../../coord/kv/watch-types.ts'
import { bytesOf } from './checks/model-types.ts'
import { createWatchValidator } from './checks/watch.ts'
import type { WatchRange, WatchValidator } from './checks/watch.ts'
import { demand } from './checks/violation.ts'
import type { Cluster, Machine } from './cluster.ts'
import type { Dice } from './random.ts'
import type { Timeline } from './timeline.ts'

export type Watcher = {
  readonly validator: WatchValidator
  /** From now on it takes without delay. */
  hurry(): void
}

type Open = {
  readonly machine: Machine
  readonly life: number
  readonly stream: WatchStream
}

const RANGES: readonly (readonly [key: string, rangeEnd: string])[] = [
  ['k/', 'k0'],
  ['k/1', ''],
  ['\0', '\0'],
  ['claims/', 'claims0'],
]

export function createWatcher(
  cluster: Cluster,
  timeline: Timeline,
  name: string,
  dice: Dice,
): Watcher {
  const [key, rangeEnd] = dice.pick(RANGES)
  const range: WatchRange = {
    key,
    rangeEnd,
    withPrevKv: dice.chance(0.3),
    skipPuts: dice.chance(0.1),
    skipDeletes: dice.chance(0.1),
  }
  const validator = createWatchValidator(cluster.truth.model, name, range, 1)
  let pauseMs = dice.pick([20, 100, 1000, 4000])
  let bytesMax = dice.pick([1, 200, 100_000])
  let open: Open | undefined
  let watchId = -1

  function connect(machine: Machine): void {
    const replica = machine.host.replica()!
    const stream = replica.watches.open(() => undefined)
    open = { machine, life: machine.host.lives(), stream }
    watchId = -1
    const startRevision = validator.next()
    const { withPrevKv, skipPuts, skipDeletes } = range
    stream.create({
      key: bytesOf(key),
      rangeEnd: bytesOf(rangeEnd),
      startRevision,
      withPrevKv,
      skipPuts,
      skipDeletes,
      progressNotify: false,
      watchId: 0,
    })
  }

  function look(answer: WatchAnswer): void {
    if (answer.created) {
      watchId = answer.watchId
      demand(!answer.canceled, 'K2', () => `${name} was refused: ${answer.cancelReason}`)
    } else if (answer.canceled) {
      validator.broke(answer.compactRevision)
      open = undefined
    } else if (answer.events.length > 0) {
      demand(answer.watchId === watchId, 'K2', () => `${name} hears of watch ${answer.watchId}`)
      validator.events(answer.events, answer.revision)
    } else validator.progress(answer.revision)
  }

  function isGone({ machine, life }: Open): boolean {
    return !machine.host.replica() || machine.host.lives() !== life
  }

  function act(): void {
    timeline.after(dice.exponential(pauseMs), act)
    if (open && (isGone(open) || dice.chance(0.03))) {
      if (!isGone(open)) open.stream[Symbol.dispose]()
      open = undefined
    }
    const running = cluster.running()
    if (!open && running.length > 0) connect(dice.pick(running))
    if (!open || open.machine.host.isPaused()) return
    if (dice.chance(0.2)) open.stream.requestProgress()
    const most = bytesMax > 1000 ? 100 : 3
    for (let count = 0; count < most && open; count++) {
      const answer = open.stream.take(bytesMax)
      if (!answer) break
      look(answer)
    }
  }
  act()
  return {
    validator,
    hurry() {
      pauseMs = 20
      bytesMax = 100_000
      timeline.after(0, act)
    },
  }
}
