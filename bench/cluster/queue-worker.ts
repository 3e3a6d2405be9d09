/**
 * One process of a job queue: `queue-worker.ts {"kind", "url", "modules", "out", "concurrency"}`. Says
 * 'ready', waits for 'go', and tells how many jobs it has completed.
 */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { createHandler, type Handler } from './queue-handler.ts'

export type QueueKind = 'pg-boss' | 'graphile-worker'
export type QueueJob = {
  readonly kind: QueueKind
  readonly url: string
  /** Folder whose node_modules has the queue. */
  readonly modules: string
  readonly out: string
  /** Jobs at a time. */
  readonly concurrency: number
}
export const QUEUE = 'files'
/** Jobs that a process takes from the database at once. */
const FETCH = 100

type Payload = { readonly file: string }

/** What of pg-boss is used here. */
export type Boss = {
  start(): Promise<unknown>
  stop(options?: { readonly graceful: boolean }): Promise<void>
  on(event: 'error', listener: (error: Error) => void): void
  createQueue(name: string): Promise<void>
  insert(queue: string, jobs: readonly { readonly data: Payload }[]): Promise<unknown>
  fetch(
    queue: string,
    options: { readonly batchSize: number },
  ): Promise<readonly { readonly id: string; readonly data: Payload }[]>
  complete(queue: string, ids: readonly string[]): Promise<unknown>
}
export type BossModule = {
  readonly PgBoss: new (options: {
    readonly connectionString: string
    readonly schedule: boolean
    readonly supervise: boolean
  }) => Boss
}

/** What of graphile-worker is used here. */
export type GraphileModule = {
  run(options: {
    readonly connectionString: string
    readonly concurrency: number
    readonly pollInterval: number
    readonly noHandleSignals: boolean
    readonly taskList: Readonly<Record<string, (payload: Payload) => Promise<void>>>
    readonly preset: {
      readonly worker: {
        readonly localQueue: { readonly size: number }
        readonly completeJobBatchDelay: number
      }
    }
  }): Promise<{ stop(): Promise<void> }>
  makeWorkerUtils(options: { readonly connectionString: string }): Promise<{
    migrate(): Promise<void>
    addJobs(
      jobs: readonly { readonly identifier: string; readonly payload: Payload }[],
    ): Promise<unknown>
    release(): Promise<void>
  }>
}

export async function importFrom<T>(modules: string, name: QueueKind): Promise<T> {
  const path = createRequire(`${modules}/package.json`).resolve(name)
  const loaded = (await import(pathToFileURL(path).href)) as T & { readonly default?: T }
  return loaded.default === undefined ? loaded : { ...loaded.default, ...loaded }
}

export async function openBoss({ modules, url }: Pick<QueueJob, 'modules' | 'url'>): Promise<Boss> {
  const { PgBoss } = await importFrom<BossModule>(modules, 'pg-boss')
  const boss = new PgBoss({ connectionString: url, schedule: false, supervise: false })
  boss.on('error', (error) => {
    throw error
  })
  await boss.start()
  return boss
}

function tell(done: number): void {
  process.send?.({ done })
}

/** Takes jobs in batches and completes them in batches, without a pause in between. */
async function workBoss(boss: Boss, handle: Handler, concurrency: number): Promise<void> {
  for (;;) {
    const jobs = await boss.fetch(QUEUE, { batchSize: FETCH })
    if (jobs.length === 0) return
    let next = 0
    const lane = async (): Promise<void> => {
      for (let job = jobs[next++]; job; job = jobs[next++]) await handle(job.data.file)
    }
    await Promise.all(Array.from({ length: concurrency }, lane))
    await boss.complete(
      QUEUE,
      jobs.map(({ id }) => id),
    )
    tell(jobs.length)
  }
}

async function workGraphile(job: QueueJob, handle: Handler): Promise<void> {
  const graphile = await importFrom<GraphileModule>(job.modules, 'graphile-worker')
  await graphile.run({
    connectionString: job.url,
    concurrency: job.concurrency,
    pollInterval: 100,
    noHandleSignals: true,
    taskList: {
      [QUEUE]: async ({ file }) => {
        await handle(file)
        tell(1)
      },
    },
    preset: { worker: { localQueue: { size: FETCH }, completeJobBatchDelay: 5 } },
  })
}

async function main(job: QueueJob): Promise<void> {
  const handle = await createHandler(job.out)
  const boss = job.kind === 'pg-boss' ? await openBoss(job) : undefined
  process.send?.({ ready: true })
  await once(process, 'message')
  // What it has cost is read from outside, after its last job.
  process.channel?.ref()
  if (boss) await workBoss(boss, handle, job.concurrency)
  else await workGraphile(job, handle)
}

if (process.send) await main(JSON.parse(process.argv[2] ?? '') as QueueJob)
