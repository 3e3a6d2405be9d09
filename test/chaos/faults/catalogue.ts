/**
 * Every fault of a chaos run, as a table: what it does, whom it may hit, how long it lasts, what it takes
 * away while it does, and what excludes it. Pure; what begins and ends each kind stands beside it, in
 * `begin.ts`, under the same name.
 */
import type { Dice } from '../../simulation/random.ts'

export type Backend = 'raft' | 'etcd'

/** What a machine or a lab must be able to do for some of the faults. */
export type Ability =
  /** Packets can be lost, copied and put in another order, each way apart. */
  | 'packets'
  /** The disk of a host can be made to fail, fill up, or lose what was not synced. */
  | 'disks'
  /** The wall clock of a host can be moved. */
  | 'clocks'

/** Who takes part, by the names of their hosts. */
export type Troupe = {
  readonly backend: Backend
  readonly coordinators: readonly string[]
  readonly workers: readonly string[]
  /** Hosts of those who take part only while a fault wants them. */
  readonly spares: readonly string[]
  readonly abilities: ReadonlySet<Ability>
}

export const CATALOG_HOST = 'catalog'
export const SOURCE_HOST = 'source'
export const BUCKET_HOST = 'bucket'
export const API_HOST = 'api'
/** A worker and a coordinator that run only while a fault wants them. */
export const SPARE_WORKER = 'worker-spare'
export const SPARE_COORDINATOR = 'coord-spare'

export type Family =
  | 'kill'
  | 'pause'
  | 'partition'
  | 'link'
  | 'disk'
  | 'clock'
  | 'catalog'
  | 'bucket'
  | 'source'
  | 'members'
  | 'versions'

export type FaultKind = keyof typeof CATALOGUE

export type FaultRow = {
  readonly family: Family
  readonly what: string
  /** The roles that it may hit; one host of each is drawn. `leader` is found out when it begins. */
  readonly hits: readonly Hit[]
  /** Shortest and longest duration. */
  readonly seconds: readonly [number, number]
  /** How often, against the others. */
  readonly weight: number
  readonly needs?: Ability
  readonly backend?: Backend
  /** Nothing else of the same lock is in force meanwhile; `process`: nothing else touches the same process. */
  readonly locks: readonly Lock[]
  /** How many coordinators cannot do their part meanwhile. */
  readonly takes?: 'one' | 'all'
}

export type Hit =
  | 'coordinator'
  | 'coordinator-2'
  | 'leader'
  | 'coordinators'
  | 'worker'
  | 'workers'
  | typeof CATALOG_HOST
  | typeof SOURCE_HOST
  | typeof BUCKET_HOST
  | typeof API_HOST
  | typeof SPARE_WORKER
  | typeof SPARE_COORDINATOR

/** `members`: who is a coordinator, and the disks of coordinators: of those only one at a time is at risk. */
export type Lock =
  'process' | 'members' | 'coordinator-disk' | 'clock' | 'bucket' | 'bucket-lies' | 'api'

const row = (fault: FaultRow): FaultRow => fault

export const CATALOGUE = {
  // ── kill -9, and start again at the end ──
  'kill-coordinator': row({
    family: 'kill',
    what: 'kill -9 of a coordinator, started again at the end',
    hits: ['coordinator'],
    seconds: [0.5, 6],
    weight: 4,
    locks: ['process'],
    takes: 'one',
  }),
  'kill-leader': row({
    family: 'kill',
    what: 'kill -9 of the coordinator that leads',
    hits: ['leader'],
    seconds: [0.5, 6],
    weight: 4,
    locks: ['process'],
    takes: 'one',
  }),
  'kill-all-coordinators': row({
    family: 'kill',
    what: 'kill -9 of all coordinators at once',
    hits: ['coordinators'],
    seconds: [1, 6],
    weight: 1,
    locks: ['process', 'members', 'coordinator-disk'],
    takes: 'all',
  }),
  'kill-worker': row({
    family: 'kill',
    what: 'kill -9 of a worker',
    hits: ['worker'],
    seconds: [0.5, 8],
    weight: 6,
    locks: ['process'],
  }),
  'kill-bucket': row({
    family: 'bucket',
    what: 'kill -9 of the bucket server, started again at the end with what it had stored',
    hits: [BUCKET_HOST],
    seconds: [0.5, 4],
    weight: 2,
    locks: ['process', 'bucket', 'bucket-lies'],
  }),
  // ── SIGSTOP, longer than elections and sessions last ──
  'pause-coordinator': row({
    family: 'pause',
    what: 'SIGSTOP of a coordinator',
    hits: ['coordinator'],
    seconds: [1.5, 6],
    weight: 3,
    locks: ['process'],
    takes: 'one',
  }),
  'pause-leader': row({
    family: 'pause',
    what: 'SIGSTOP of the coordinator that leads, beyond an election',
    hits: ['leader'],
    seconds: [1.5, 6],
    weight: 3,
    locks: ['process'],
    takes: 'one',
  }),
  'pause-worker': row({
    family: 'pause',
    what: 'SIGSTOP of a worker, beyond its session',
    hits: ['worker'],
    seconds: [3.5, 9],
    weight: 5,
    locks: ['process'],
  }),
  'pause-bucket': row({
    family: 'pause',
    what: 'SIGSTOP of the bucket server: requests hang',
    hits: [BUCKET_HOST],
    seconds: [1, 5],
    weight: 1,
    locks: ['process', 'bucket', 'bucket-lies'],
  }),
  // ── partitions ──
  'isolate-coordinator': row({
    family: 'partition',
    what: 'a coordinator is cut off from everybody, both ways',
    hits: ['coordinator'],
    seconds: [2, 8],
    weight: 3,
    locks: [],
    takes: 'one',
  }),
  'isolate-leader': row({
    family: 'partition',
    what: 'the leader is cut off from the other coordinators, and goes on seeing workers',
    hits: ['leader'],
    seconds: [2, 8],
    weight: 3,
    locks: [],
    takes: 'one',
  }),
  'deaf-leader': row({
    family: 'partition',
    what: 'one way: the leader is heard and hears nothing',
    hits: ['leader'],
    seconds: [2, 8],
    weight: 2,
    needs: 'packets',
    locks: [],
    takes: 'one',
  }),
  'mute-coordinator': row({
    family: 'partition',
    what: 'one way: a coordinator hears everybody and is not heard',
    hits: ['coordinator'],
    seconds: [2, 8],
    weight: 2,
    needs: 'packets',
    locks: [],
    takes: 'one',
  }),
  'no-direct-way': row({
    family: 'partition',
    what: 'two coordinators cannot reach each other; everybody else reaches both',
    hits: ['coordinator', 'coordinator-2'],
    seconds: [2, 8],
    weight: 2,
    locks: [],
  }),
  'split-room': row({
    family: 'partition',
    what: 'one coordinator and one worker on one side, everybody else on the other',
    hits: ['coordinator', 'worker'],
    seconds: [2, 8],
    weight: 2,
    locks: [],
    takes: 'one',
  }),
  'isolate-worker': row({
    family: 'partition',
    what: 'a worker is cut off from everybody',
    hits: ['worker'],
    seconds: [2, 9],
    weight: 2,
    locks: [],
  }),
  'worker-without-coordinators': row({
    family: 'partition',
    what: 'a worker is cut off from the coordinators only, beyond its session: it can still commit',
    hits: ['worker'],
    seconds: [3, 9],
    weight: 4,
    locks: [],
  }),
  'worker-unheard-by-coordinators': row({
    family: 'partition',
    what: 'one way: coordinators answer a worker, and the answers arrive nowhere',
    hits: ['worker'],
    seconds: [3, 9],
    weight: 2,
    needs: 'packets',
    locks: [],
  }),
  'worker-without-catalog': row({
    family: 'partition',
    what: 'a worker is cut off from the catalog only',
    hits: ['worker'],
    seconds: [2, 8],
    weight: 3,
    locks: [],
  }),
  'commit-answer-lost': row({
    family: 'partition',
    what: 'one way: a worker reaches the catalog, and answers of the catalog do not reach it',
    hits: ['worker'],
    seconds: [1, 6],
    weight: 3,
    needs: 'packets',
    locks: [],
  }),
  'worker-without-bucket': row({
    family: 'partition',
    what: 'a worker is cut off from the bucket only',
    hits: ['worker'],
    seconds: [2, 8],
    weight: 3,
    locks: [],
  }),
  'worker-without-source': row({
    family: 'partition',
    what: 'a worker is cut off from the sources that it reads',
    hits: ['worker'],
    seconds: [2, 8],
    weight: 1,
    locks: [],
  }),
  'half-open': row({
    family: 'partition',
    what: 'a worker is cut off and killed, so that its connections stand without an end; then both heal',
    hits: ['worker'],
    seconds: [2, 8],
    weight: 2,
    locks: ['process'],
  }),
  'half-open-coordinator': row({
    family: 'partition',
    what: 'a coordinator is cut off and killed, so that connections to it stand without an end',
    hits: ['coordinator'],
    seconds: [2, 8],
    weight: 2,
    locks: ['process'],
    takes: 'one',
  }),
  // ── links ──
  'delay-coordinators': row({
    family: 'link',
    what: 'delay with jitter between all coordinators, near to the election timeout at times',
    hits: ['coordinators'],
    seconds: [2, 10],
    weight: 2,
    locks: [],
  }),
  'delay-worker': row({
    family: 'link',
    what: 'delay with jitter between a worker and everybody',
    hits: ['worker'],
    seconds: [2, 10],
    weight: 2,
    locks: [],
  }),
  'loss-coordinator': row({
    family: 'link',
    what: 'a coordinator loses packets both ways',
    hits: ['coordinator'],
    seconds: [2, 10],
    weight: 2,
    needs: 'packets',
    locks: [],
  }),
  'loss-worker': row({
    family: 'link',
    what: 'a worker loses packets both ways',
    hits: ['worker'],
    seconds: [2, 10],
    weight: 2,
    needs: 'packets',
    locks: [],
  }),
  'reorder-everywhere': row({
    family: 'link',
    what: 'packets between coordinators and workers are copied and come in another order',
    hits: ['coordinators', 'workers'],
    seconds: [2, 10],
    weight: 2,
    needs: 'packets',
    locks: [],
  }),
  'slow-bucket-link': row({
    family: 'link',
    what: 'the line from a worker to the bucket is slow',
    hits: ['worker'],
    seconds: [3, 10],
    weight: 2,
    locks: [],
  }),
  'slow-coordinator-link': row({
    family: 'link',
    what: 'the line of a coordinator is slow',
    hits: ['coordinator'],
    seconds: [3, 10],
    weight: 1,
    locks: [],
  }),
  // ── disks ──
  'sync-fails': row({
    family: 'disk',
    what: 'a coordinator cannot sync its log: it must end, and is started again on a sound disk',
    hits: ['coordinator'],
    seconds: [1, 6],
    weight: 2,
    needs: 'disks',
    locks: ['process', 'members', 'coordinator-disk'],
    takes: 'one',
  }),
  'sync-slow': row({
    family: 'disk',
    what: 'each sync of a coordinator takes long, up to beyond an election',
    hits: ['coordinator'],
    seconds: [2, 8],
    weight: 2,
    needs: 'disks',
    locks: ['coordinator-disk'],
  }),
  'disk-full': row({
    family: 'disk',
    what: 'the disk of a coordinator is full; there is room again at the end',
    hits: ['coordinator'],
    seconds: [1, 6],
    weight: 2,
    needs: 'disks',
    locks: ['process', 'members', 'coordinator-disk'],
    takes: 'one',
  }),
  // ── clocks ──
  'clock-jumps': row({
    family: 'clock',
    what: 'the wall clock of a worker or a coordinator jumps by up to an hour, and back',
    hits: ['coordinator', 'worker'],
    seconds: [2, 10],
    weight: 2,
    needs: 'clocks',
    locks: ['clock'],
  }),
  'clock-drifts': row({
    family: 'clock',
    what: 'the wall clock of a worker or a coordinator runs at half or double speed',
    hits: ['coordinator', 'worker'],
    seconds: [3, 10],
    weight: 1,
    needs: 'clocks',
    locks: ['clock'],
  }),
  // ── catalog ──
  'kill-catalog': row({
    family: 'catalog',
    what: 'crash of the Postgres of the catalog, started again at the end',
    hits: [CATALOG_HOST],
    seconds: [0.5, 4],
    weight: 2,
    locks: ['process'],
  }),
  'restart-catalog': row({
    family: 'catalog',
    what: 'the Postgres of the catalog is stopped in good order and started again',
    hits: [CATALOG_HOST],
    seconds: [0.2, 2],
    weight: 1,
    locks: ['process'],
  }),
  'drop-catalog-connections': row({
    family: 'catalog',
    what: 'the Postgres of the catalog ends all connections, again and again',
    hits: [CATALOG_HOST],
    seconds: [0.5, 3],
    weight: 3,
    locks: [],
  }),
  'isolate-catalog': row({
    family: 'catalog',
    what: 'nobody reaches the catalog',
    hits: [CATALOG_HOST],
    seconds: [1, 5],
    weight: 1,
    locks: [],
  }),
  // ── bucket ──
  'bucket-500': row({
    family: 'bucket',
    what: 'the bucket answers 500, at times after the work was done',
    hits: [BUCKET_HOST],
    seconds: [1, 6],
    weight: 2,
    locks: ['bucket'],
  }),
  'bucket-503': row({
    family: 'bucket',
    what: 'the bucket answers 503 SlowDown',
    hits: [BUCKET_HOST],
    seconds: [1, 6],
    weight: 2,
    locks: ['bucket'],
  }),
  'bucket-403': row({
    family: 'bucket',
    what: 'the bucket refuses everything with 403',
    hits: [BUCKET_HOST],
    seconds: [1, 4],
    weight: 1,
    locks: ['bucket'],
  }),
  'bucket-slow': row({
    family: 'bucket',
    what: 'each answer of the bucket takes long',
    hits: [BUCKET_HOST],
    seconds: [2, 8],
    weight: 2,
    locks: ['bucket'],
  }),
  'bucket-loses-answers': row({
    family: 'bucket',
    what: 'the bucket does the work and closes the connection instead of answering',
    hits: [BUCKET_HOST],
    seconds: [1, 6],
    weight: 2,
    locks: ['bucket'],
  }),
  'bucket-lies': row({
    family: 'bucket',
    what: 'the bucket ignores If-None-Match and If-Match, and says yes',
    hits: [BUCKET_HOST],
    seconds: [3, 10],
    weight: 2,
    locks: ['bucket-lies'],
  }),
  // ── sources ──
  'source-worse': row({
    family: 'source',
    what: 'the API misbehaves far more: 429 with Retry-After, 502, slow, cut in the middle of a body',
    hits: [API_HOST],
    seconds: [2, 10],
    weight: 3,
    locks: ['api'],
  }),
  'isolate-api': row({
    family: 'source',
    what: 'nobody reaches the API',
    hits: [API_HOST],
    seconds: [1, 5],
    weight: 1,
    locks: [],
  }),
  'kill-source': row({
    family: 'source',
    what: 'crash of the Postgres that is read from, started again at the end',
    hits: [SOURCE_HOST],
    seconds: [0.5, 4],
    weight: 1,
    locks: ['process'],
  }),
  'drop-source-connections': row({
    family: 'source',
    what: 'the Postgres that is read from ends all connections, again and again',
    hits: [SOURCE_HOST],
    seconds: [0.5, 3],
    weight: 2,
    locks: [],
  }),
  'isolate-source': row({
    family: 'source',
    what: 'nobody reaches the Postgres that is read from',
    hits: [SOURCE_HOST],
    seconds: [1, 5],
    weight: 1,
    locks: [],
  }),
  // ── members ──
  'move-leader': row({
    family: 'members',
    what: 'leadership is handed to another coordinator',
    hits: ['coordinators'],
    seconds: [0.1, 0.5],
    weight: 2,
    locks: ['members'],
  }),
  'replace-coordinator': row({
    family: 'members',
    what: 'a newcomer with an empty disk takes the place of a coordinator (ctl member replace)',
    hits: ['coordinator'],
    seconds: [3, 10],
    weight: 2,
    backend: 'raft',
    locks: ['process', 'members', 'coordinator-disk'],
    takes: 'one',
  }),
  'add-coordinator': row({
    family: 'members',
    what: 'one more coordinator joins at an address of its own, and is removed at the end, leading or not',
    hits: [SPARE_COORDINATOR],
    seconds: [4, 12],
    weight: 2,
    backend: 'raft',
    locks: ['members', 'coordinator-disk'],
  }),
  'add-worker': row({
    family: 'members',
    what: 'one more worker joins, and leaves in good order at the end',
    hits: [SPARE_WORKER],
    seconds: [4, 12],
    weight: 2,
    locks: [],
  }),
  'drain-worker': row({
    family: 'members',
    what: 'a worker is drained, and takes part again at the end',
    hits: ['worker'],
    seconds: [3, 10],
    weight: 2,
    locks: [],
  }),
  'roll-coordinators': row({
    family: 'members',
    what: 'one coordinator after the other is restarted with SIGTERM',
    hits: ['coordinators'],
    seconds: [3, 8],
    weight: 1,
    locks: ['process', 'members', 'coordinator-disk'],
    takes: 'one',
  }),
  'roll-workers': row({
    family: 'members',
    what: 'one worker after the other is restarted with SIGTERM',
    hits: ['workers'],
    seconds: [4, 10],
    weight: 1,
    locks: ['process'],
  }),
  // ── versions ──
  'upgrade-worker': row({
    family: 'versions',
    what: 'a worker is restarted as the next version beside the others, and as this one at the end',
    hits: ['worker'],
    seconds: [4, 12],
    weight: 2,
    locks: ['process'],
  }),
  'upgrade-coordinator': row({
    family: 'versions',
    what: 'a coordinator is restarted as the next version beside the others, and as this one at the end',
    hits: ['coordinator'],
    seconds: [4, 12],
    weight: 1,
    backend: 'raft',
    locks: ['process', 'members', 'coordinator-disk'],
    takes: 'one',
  }),
} satisfies { readonly [kind: string]: FaultRow }

export const FAULT_KINDS = Object.keys(CATALOGUE) as readonly FaultKind[]

export function rowOf(kind: FaultKind): FaultRow {
  return CATALOGUE[kind]
}

/** Whether the fault can be shown with this troupe at all. */
export function isPossible(kind: FaultKind, troupe: Troupe): boolean {
  const { needs, backend, hits } = rowOf(kind)
  if (needs !== undefined && !troupe.abilities.has(needs)) return false
  if (backend !== undefined && backend !== troupe.backend) return false
  if (hits.includes('coordinator-2') && troupe.coordinators.length < 2) return false
  return !hits.includes('worker') || troupe.workers.length > 0
}

/** The hosts that a fault touches; a clock is that of one host only. `leader` stays a word. */
export function drawHosts(kind: FaultKind, troupe: Troupe, dice: Dice): readonly string[] {
  const coordinators = dice.shuffle(troupe.coordinators)
  const worker = dice.pick(troupe.workers)
  const { hits, family } = rowOf(kind)
  const hosts = hits.flatMap((hit) => {
    switch (hit) {
      case 'coordinator':
        return coordinators.slice(0, 1)
      case 'coordinator-2':
        return coordinators.slice(1, 2)
      case 'coordinators':
        return troupe.coordinators
      case 'worker':
        return [worker]
      case 'workers':
        return troupe.workers
      case 'leader':
      case CATALOG_HOST:
      case SOURCE_HOST:
      case BUCKET_HOST:
      case API_HOST:
      case SPARE_WORKER:
      case SPARE_COORDINATOR:
        return [hit]
    }
  })
  if (family !== 'clock') return hosts
  // etcd takes the time from the kernel itself, where nobody can bend it.
  return [troupe.backend === 'etcd' ? worker : dice.pick(hosts)]
}
