/**
 * `hakiri run`, composed with ports that end this process with SIGKILL at a chosen point of the commit
 * path. Arguments: the point, and at which of its occurrences. Product code knows nothing of this.
 */
import type { Catalog } from '../../catalog/catalog.ts'
import { runAndReport } from '../../cli/commands/run.ts'
import type { CommandIo } from '../../cli/command.ts'
import { openProject, type Project } from '../../cli/project.ts'
import { silentLogger } from '../../lib/system/log.ts'
import type { Encoder } from '../../sink/encoder/encoder.ts'
import type { ObjectStore } from '../../sink/store/store.ts'

/** The six points: before and after each thing that becomes durable. */
export const CRASH_POINTS = [
  'before-encode',
  'before-upload',
  'before-commit',
  'after-commit',
  'before-log-put',
  'after-log-put',
] as const
export type CrashPoint = (typeof CRASH_POINTS)[number]

if (import.meta.main) await main()

async function main(): Promise<void> {
  const [point = '', nth = '1'] = process.argv.slice(2)
  let seen = 0
  const reach = (reached: CrashPoint): void => {
    if (reached === point && ++seen === Number(nth)) process.kill(process.pid, 'SIGKILL')
  }
  const io = quietIo()
  const globals = {
    json: true,
    quiet: true,
    verbose: false,
    config: '.',
    catalog: undefined,
    color: false,
  }
  const project = crashing(await openProject(globals, io), reach)
  await runAndReport(
    project,
    project.pipelines([]),
    { kind: 'run', fullRefresh: false, shard: undefined },
    io,
  )
}

type Reach = (point: CrashPoint) => void

function crashing(project: Project, reach: Reach): Project {
  return {
    ...project,
    openCatalog: async () => crashingCatalog(await project.openCatalog(), reach),
    openStore: async (destination) => crashingStore(await project.openStore(destination), reach),
    openEncoder: async (...args) => crashingEncoder(await project.openEncoder(...args), reach),
  }
}

function crashingCatalog(catalog: Catalog, reach: Reach): Catalog {
  return {
    ...catalog,
    async commit(commit) {
      reach('before-commit')
      const outcome = await catalog.commit(commit)
      reach('after-commit')
      return outcome
    },
  }
}

function crashingStore(store: ObjectStore, reach: Reach): ObjectStore {
  return {
    ...store,
    async putFile(key, path) {
      reach('before-upload')
      await store.putFile(key, path)
    },
    async put(key, body, options) {
      const isLog = /_delta_log\/\d+\.json$/.test(key)
      if (isLog) reach('before-log-put')
      const outcome = await store.put(key, body, options)
      if (isLog) reach('after-log-put')
      return outcome
    },
  }
}

function crashingEncoder(encoder: Encoder, reach: Reach): Encoder {
  return {
    ...encoder,
    async encode(job, signal) {
      reach('before-encode')
      return encoder.encode(job, signal)
    },
  }
}

function quietIo(): CommandIo {
  return {
    print: () => undefined,
    data: () => undefined,
    progress: () => undefined,
    overlay: () => undefined,
    logger: silentLogger,
    isTerminal: false,
    size: () => ({ columns: 80, rows: 24 }),
    stop: new AbortController().signal,
    redact: (text) => text,
    addRedaction: () => undefined,
  }
}
