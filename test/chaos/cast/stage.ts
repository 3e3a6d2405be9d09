/** Puts everybody who takes part where faults can reach them. */
import { cordonWorker } from '../../../worker/operate.ts'
import { operatorOf } from '../../../cli/cluster.ts'
import { createDice } from '../../simulation/random.ts'
import { createBook } from '../faults/book.ts'
import { SPARE_WORKER } from '../faults/catalogue.ts'
import type { BucketMoodLine, Stage } from '../faults/stage.ts'
import type { Lab } from '../hosts/lab.ts'
import type { ApiFaults } from '../pipelines/api-server.ts'
import type { BucketMood } from '../pipelines/bucket-server.ts'
import type { HostPostgres } from '../pipelines/host-postgres.ts'
import type { Pipelines } from '../pipelines/pipelines.ts'
import type { Coordinators } from './coordinators.ts'
import type { Machines } from './machines.ts'
import { STOP_MS } from './workers.ts'
import { until } from '../../support/until.ts'

export type StageOptions = Pick<Stage, 'timeline' | 'programs' | 'problem'> & {
  readonly lab: Lab
  readonly seed: number
  /** How many times as long everything may take, on a machine as slow as it is now. */
  readonly stretch: () => number
}

export type StageParts = Pick<Stage, 'troupe' | 'workers'> & {
  readonly machines: Machines
  readonly pipelines: Pipelines
  readonly coordinators: Coordinators
}

/** What the API does wrong all the time. */
export const USUAL_API_FAULTS: Required<ApiFaults> = {
  rate: 0.02,
  badGateway: 0.03,
  slow: 0.02,
  cut: 0.03,
  reset: 0.03,
}

export function stageOf(
  { lab, seed, timeline, programs, problem, stretch }: StageOptions,
  around: StageParts,
): Stage {
  const { troupe, machines, pipelines, coordinators, workers } = around
  const dice = createDice(seed).fork('leaders')
  return {
    troupe,
    timeline,
    coordinators,
    workers,
    programs,
    problem,
    spare: workers.get(SPARE_WORKER)!,
    disks: machines.disks,
    clocks: machines.clocks,
    ...servicesOf(lab, pipelines),
    cordon: async (worker, isCordoned) =>
      void (await cordonWorker(operatorOf(pipelines.catalog), worker, isCordoned)),
    stopMs: () => STOP_MS * stretch(),
    leader: async () => {
      const name = (await coordinators.leader())?.name
      // One that is about to be removed is left to the fault that added it.
      const isSteady = name !== undefined && troupe.coordinators.includes(name)
      return isSteady ? name : dice.pick(troupe.coordinators)
    },
  }
}

function servicesOf(lab: Lab, { catalogPostgres, sourcePostgres, bucket, api }: Pipelines) {
  return {
    links: createBook((lines) => lab.setLinks(lines.flat())),
    moods: createBook((lines: readonly BucketMoodLine[]) => bucket.mood(moodOf(lines))),
    api: createBook((degrees: readonly number[]) => api.faults(worse(Math.max(0, ...degrees)))),
    catalog: databasePort(catalogPostgres),
    source: databasePort(sourcePostgres),
    bucket: {
      kill: () => bucket.kill(),
      up: () => bucket.up(),
      pause: () => bucket.signal('SIGSTOP'),
      resume: () => bucket.signal('SIGCONT'),
    },
  } satisfies Partial<Stage>
}

function databasePort(postgres: HostPostgres) {
  const isGone = async (): Promise<boolean> => postgres.program.pid() === undefined
  return {
    kill: () => postgres.kill(),
    up: () => postgres.up(),
    async restart() {
      postgres.program.signal('SIGINT')
      await until('Postgres is down', isGone)
      await postgres.up()
    },
    dropConnections: () => postgres.dropConnections(),
  }
}

function worse(degree: number): ApiFaults {
  const more = 1 + degree * 6
  return Object.fromEntries(
    Object.entries(USUAL_API_FAULTS).map(([name, share]) => [name, share * more]),
  )
}

function moodOf(lines: readonly BucketMoodLine[]): BucketMood {
  const isLying = lines.some(({ kind }) => kind === 'lies')
  return {
    faults: lines.flatMap((line) =>
      line.kind === 'lies' || line.kind === 'slow' ? [] : [{ kind: line.kind, share: line.share }],
    ),
    settings: {
      latencyMs: Math.max(0, ...lines.map((line) => (line.kind === 'slow' ? line.latencyMs : 0))),
      ...(isLying ? { conditional: 'ignored' as const } : {}),
    },
  }
}
