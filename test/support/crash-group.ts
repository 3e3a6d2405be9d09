/**
 * A worker that reads files in a group and ends with SIGKILL at a chosen point of the group's way into
 * the catalog. Run as a program it is that worker; product code knows nothing of this.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Connector } from '../../connector/connector.ts'
import { createFileConnector } from '../../connector/builtin/file/file.ts'
import { startGroupRun, type RunHow } from './group-lab.ts'
import { openLab } from './worker-lab.ts'

/** Before and after each thing that becomes durable. */
export const GROUP_CRASH_POINTS = ['before-upload', 'before-commit', 'after-commit'] as const

export type GroupCrash = {
  /** Holds the files in `in/` and, afterwards, the lake. */
  readonly folder: string
  readonly catalogUrl: string | undefined
  readonly point: (typeof GROUP_CRASH_POINTS)[number]
}

/** Files in `in/`, a shard each. */
export function fileSource(): Connector {
  return createFileConnector({
    paths: ['in/*.ndjson'],
    format: undefined,
    table: 'orders',
    csv: { delimiter: ',', quote: '"', header: true, columns: undefined, nullText: '' },
    records: '',
    shardBy: { kind: 'file' },
  })
}

export const FILE_RUN: RunHow = {
  pipeline: { mode: 'full', write: { mode: 'append', key: [], cursor: undefined, lag: undefined } },
}

/** Starts a run whose worker does not survive it; returns how it ended. */
export async function crashGroup(crash: GroupCrash): Promise<unknown> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), JSON.stringify(crash)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  return signal ?? code
}

if (import.meta.main) await main(JSON.parse(process.argv[2] ?? '') as GroupCrash)

async function main({ folder, catalogUrl, point }: GroupCrash): Promise<void> {
  const reach = (reached: GroupCrash['point']): void => {
    if (reached === point) process.kill(process.pid, 'SIGKILL')
  }
  const lab = await openLab(undefined, { folder, catalogUrl })
  const run = await startGroupRun(lab, fileSource(), FILE_RUN)
  const { catalog, store } = lab.deps
  await run.group({
    deps: {
      store: {
        ...store,
        putFile(key, path) {
          reach('before-upload')
          return store.putFile(key, path)
        },
      },
      catalog: {
        ...catalog,
        async commitShards(commits) {
          reach('before-commit')
          const outcome = await catalog.commitShards(commits)
          reach('after-commit')
          return outcome
        },
      },
    },
  })
}
