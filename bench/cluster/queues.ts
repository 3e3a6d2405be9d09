/**
 * pg-boss and graphile-worker on the same files, one job and one Parquet file each, four processes, their
 * own databases in a Postgres like that of our catalog. Both are installed into a folder that goes away.
 */
import { type ChildProcess, execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import pg from 'pg'
import { startPostgres } from '../../test/support/postgres.ts'
import { postgresPid } from './lab.ts'
import { cpuBetween, cpuBy, type CpuBy } from './proc.ts'
import {
  type GraphileModule,
  importFrom,
  openBoss,
  QUEUE,
  type QueueJob,
  type QueueKind,
} from './queue-worker.ts'
import { type Audit, AUDIT_SQL, auditOf, mustEqual } from './shard-files.ts'

const PROCESSES = 4
const CONCURRENCY = 4
const INSERT = 1_000
const LIMIT_MS = 1_200_000
export const VERSIONS: Readonly<Record<QueueKind, string>> = {
  'pg-boss': '12.38.0',
  'graphile-worker': '0.18.0',
}

export type QueueResult = {
  readonly shardsPerS: number
  readonly workS: number
  readonly cpuS: CpuBy
}

/** Installs both with npm; the folder is the caller's to remove. */
export async function installQueues(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-bench-queues-'))
  await writeFile(join(folder, 'package.json'), '{ "private": true }')
  const names = Object.entries(VERSIONS).map(([name, version]) => `${name}@${version}`)
  await promisify(execFile)('npm', ['install', '--no-audit', '--no-fund', ...names], {
    cwd: folder,
  })
  return folder
}

export async function measureQueue(
  kind: QueueKind,
  modules: string,
  source: string,
  shards: number,
  audit: Audit,
): Promise<QueueResult> {
  await using postgres = await startPostgres({ fsync: true })
  const out = await mkdtemp(join(tmpdir(), 'hakiri-bench-out-'))
  try {
    await mkdir(out, { recursive: true })
    const url = await postgres.newDatabase()
    const job: QueueJob = { kind, url, modules, out, concurrency: CONCURRENCY }
    const files = (await readdir(source)).map((name) => join(source, name))
    await ask(job, files)
    await using workers = await startWorkers(job)
    const pids = { workers: workers.pids, postgres: [postgresPid(postgres)] }
    const [began, before] = [performance.now(), cpuBy(pids)]
    await workers.go(shards)
    await untilCompleted(job)
    const [ended, after] = [performance.now(), cpuBy(pids)]
    await auditFiles(out, audit, kind)
    const workS = (ended - began) / 1000
    return {
      shardsPerS: Math.round(shards / workS),
      workS: Math.round(workS * 100) / 100,
      cpuS: cpuBetween(before, after),
    }
  } finally {
    await rm(out, { recursive: true, force: true })
  }
}

/** Not measured. */
async function ask(job: QueueJob, files: readonly string[]): Promise<void> {
  if (job.kind === 'pg-boss') {
    const boss = await openBoss(job)
    await boss.createQueue(QUEUE)
    for (let at = 0; at < files.length; at += INSERT)
      await boss.insert(
        QUEUE,
        files.slice(at, at + INSERT).map((file) => ({ data: { file } })),
      )
    await boss.stop({ graceful: false })
    return
  }
  const graphile = await importFrom<GraphileModule>(job.modules, 'graphile-worker')
  const utils = await graphile.makeWorkerUtils({ connectionString: job.url })
  await utils.migrate()
  for (let at = 0; at < files.length; at += INSERT)
    await utils.addJobs(
      files.slice(at, at + INSERT).map((file) => ({ identifier: QUEUE, payload: { file } })),
    )
  await utils.release()
}

/** Until the database says that nothing is left to do. */
async function untilCompleted({ kind, url }: QueueJob): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  const left =
    kind === 'pg-boss'
      ? `select count(*) as left from pgboss.job where state in ('created', 'retry', 'active')`
      : 'select count(*) as left from graphile_worker._private_jobs'
  try {
    for (;;) {
      const { rows } = await client.query(left)
      if (Number((rows as readonly { readonly left: string }[])[0]?.left) === 0) return
      await delay(20)
    }
  } finally {
    await client.end()
  }
}

type Workers = AsyncDisposable & {
  readonly pids: readonly number[]
  /** Resolves when so many jobs were handled. */
  go(jobs: number): Promise<void>
}

async function startWorkers(job: QueueJob): Promise<Workers> {
  const children = Array.from({ length: PROCESSES }, () =>
    fork(new URL('./queue-worker.ts', import.meta.url), [JSON.stringify(job)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    }),
  )
  const end = async (): Promise<void> => {
    await Promise.all(children.map(endChild))
  }
  await Promise.all(children.map((child) => once(child, 'message')))
  return {
    pids: children.map(({ pid }) => pid ?? 0),
    async go(jobs) {
      let done = 0
      const all = Promise.withResolvers<void>()
      for (const child of children) {
        child.on('message', (message: { readonly done: number }) => {
          done += message.done
          if (done >= jobs) all.resolve()
        })
        child.once(
          'exit',
          (code) => code !== 0 && all.reject(new Error(`a process ended with ${code}`)),
        )
        child.send({ go: true })
      }
      const limit = delay(LIMIT_MS, undefined, { ref: false }).then(() => {
        throw new Error(`${done} of ${jobs} jobs were done in ${LIMIT_MS} ms`)
      })
      await Promise.race([all.promise, limit])
    },
    [Symbol.asyncDispose]: end,
  }
}

async function endChild(child: ChildProcess): Promise<void> {
  child.removeAllListeners('exit')
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

async function auditFiles(folder: string, audit: Audit, kind: QueueKind): Promise<void> {
  const engine = await DuckDBInstance.create(':memory:')
  const connection = await engine.connect()
  const read = await connection.runAndReadAll(
    `select ${AUDIT_SQL} from read_parquet('${folder}/*.parquet')`,
  )
  mustEqual(auditOf(read.getRows()[0] ?? []), audit, kind)
}
