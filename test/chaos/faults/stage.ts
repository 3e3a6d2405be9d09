/** What faults get to play with: everything that takes part in a run, and the words they share. */
import type { ChaosWorker } from '../cast/workers.ts'
import type { Coordinator, Coordinators } from '../cast/coordinators.ts'
import type { Kept } from '../cast/kept.ts'
import type { Program } from '../cast/program.ts'
import type { LinkFault } from '../hosts/lab.ts'
import type { Timeline } from '../timeline.ts'
import type { Book } from './book.ts'
import type { Troupe } from './catalogue.ts'
import type { PlannedFault } from './schedule.ts'

export type Stage = {
  readonly troupe: Troupe
  readonly timeline: Timeline
  readonly coordinators: Coordinators
  readonly workers: ReadonlyMap<string, ChaosWorker>
  /** A worker on a host of its own that nobody has started, and that no other fault touches. */
  readonly spare: ChaosWorker
  /** Tells the cluster, through the catalog, whether a worker is to be left alone. */
  cordon(worker: string, isCordoned: boolean): Promise<void>
  readonly catalog: DatabasePort
  readonly source: DatabasePort
  readonly bucket: ServicePort & {
    pause(): void
    resume(): void
  }
  readonly links: Book<readonly LinkFault[]>
  readonly moods: Book<BucketMoodLine>
  readonly api: Book<number>
  readonly programs: { readonly now: Program; readonly next: Program }
  readonly disks: DiskPort | undefined
  readonly clocks: ClockPort | undefined
  /** Who leads now; one by lot when nobody says so. */
  leader(): Promise<string>
  /** How long a process may take to leave in good order, on a machine as slow as it is now. */
  readonly stopMs: () => number
  readonly problem: (text: string) => void
}

/** Servers that are killed, and answer again when `up` resolves. */
export type ServicePort = {
  kill(): Promise<void>
  up(): Promise<void>
}

export type DatabasePort = ServicePort & {
  /** Down in good order, and up again. */
  restart(): Promise<void>
  dropConnections(): Promise<unknown>
}

/** What a fault wants of the bucket. */
export type BucketMoodLine =
  | {
      readonly kind: 'internal-error' | 'slow-down' | 'forbidden' | 'lost-answer'
      readonly share: number
    }
  | { readonly kind: 'slow'; readonly latencyMs: number }
  | { readonly kind: 'lies' }

/** What can be done to the disk under a coordinator. */
export type DiskPort = {
  failSyncs(host: string): Promise<void>
  slowSyncs(host: string, delayMs: number): Promise<void>
  fill(host: string): Promise<void>
  heal(host: string): Promise<void>
}

export type ClockPort = {
  /** Offset in seconds, and how fast it runs from now on. */
  set(host: string, offsetS: number, rate: number): Promise<void>
  heal(host: string): Promise<void>
}

/** A fault whose hosts are names, in front of its stage. */
export type Scene = {
  readonly stage: Stage
  readonly fault: PlannedFault
}

/** Resolves when the fault is in force; the heal resolves when it is over and what it hit is started. */
export type Begin = (scene: Scene) => Promise<Heal>
export type Heal = () => Promise<void>

/** A fault that found nothing to hit, such as a process that another fault has in its hand still. */
export class NothingToHit extends Error {}

export function coordinatorOf({ coordinators }: Stage, host: string): Coordinator {
  const found = [...coordinators.all, ...coordinators.spares].find(
    ({ actor }) => actor.name === host,
  )
  if (!found) throw new Error(`no coordinator ${host}`)
  return found
}

export function workerOf({ workers }: Stage, host: string): ChaosWorker {
  const found = workers.get(host)
  if (!found) throw new Error(`no worker ${host}`)
  return found
}

export function actorOf(stage: Stage, host: string): Kept {
  return stage.workers.get(host)?.actor ?? coordinatorOf(stage, host).actor
}

/** A process that is as nobody has left it behind. */
export function unharmed(actor: Kept): Kept {
  if (actor.state() !== 'running' || actor.isToEnd)
    throw new NothingToHit(`${actor.name} is ${actor.state()}`)
  return actor
}

export const scale = (low: number, high: number, degree: number): number =>
  Math.round(low + (high - low) * degree)
