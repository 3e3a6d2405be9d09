/** Faults of what the cluster stands on: Postgres, the bucket, the API. */
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Begin,
  type BucketMoodLine,
  type DatabasePort,
  scale,
  type ServicePort,
  type Stage,
} from './stage.ts'

const crash =
  (of: (stage: Stage) => ServicePort): Begin =>
  async ({ stage }) => {
    const service = of(stage)
    await service.kill()
    return () => service.up()
  }

const mood =
  (of: (degree: number) => BucketMoodLine): Begin =>
  async ({ stage: { moods }, fault: { number, degree } }) => {
    await moods.write(number, of(degree))
    return () => moods.cross(number)
  }

const DROP_EVERY_MS = 400

/** Ends all connections again and again: the ones that come after, too. */
const dropConnections =
  (of: (stage: Stage) => DatabasePort): Begin =>
  async ({ stage, fault: { durationMs } }) => {
    const database = of(stage)
    // Another fault may have taken the server down altogether.
    const drop = (): Promise<unknown> => database.dropConnections().catch(() => undefined)
    await drop()
    const dropping = (async () => {
      for (let leftMs = durationMs; leftMs > DROP_EVERY_MS; leftMs -= DROP_EVERY_MS) {
        await delay(DROP_EVERY_MS)
        await drop()
      }
    })()
    return () => dropping
  }

export const SERVICES = {
  'kill-catalog': crash(({ catalog }) => catalog),
  'kill-source': crash(({ source }) => source),
  'kill-bucket': crash(({ bucket }) => bucket),
  'restart-catalog': async ({ stage: { catalog } }) => {
    const restarted = catalog.restart()
    // Heard of in the heal.
    restarted.catch(() => undefined)
    return () => restarted
  },
  'drop-catalog-connections': dropConnections(({ catalog }) => catalog),
  'drop-source-connections': dropConnections(({ source }) => source),
  'bucket-500': mood((degree) => ({ kind: 'internal-error', share: 0.2 + 0.8 * degree })),
  'bucket-503': mood((degree) => ({ kind: 'slow-down', share: 0.2 + 0.8 * degree })),
  'bucket-403': mood((degree) => ({ kind: 'forbidden', share: 0.2 + 0.8 * degree })),
  'bucket-loses-answers': mood((degree) => ({ kind: 'lost-answer', share: 0.1 + 0.6 * degree })),
  'bucket-slow': mood((degree) => ({ kind: 'slow', latencyMs: scale(100, 2_500, degree) })),
  'bucket-lies': mood(() => ({ kind: 'lies' })),
  'source-worse': async ({ stage: { api }, fault: { number, degree } }) => {
    await api.write(number, 0.1 + 0.6 * degree)
    return () => api.cross(number)
  },
} satisfies { readonly [kind: string]: Begin }
