/**
 * `hakiri run`, composed with ports that end this process with SIGKILL at a chosen point of the commit
 * path. Arguments: the point, and at which of its occurrences. Product code knows nothing of this.
 */
import type { Catalog } from '../../catalog/catalog.ts'
import { runAndReport } from '../../cli/commands/run.ts'
import type { CommandIo } from '../../cli/command.ts'
import { openProject, type Project } from '../../cli/project.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { type CrashPoint, crashingEncoder, crashingStore, type ReachPoint } from './crash-points.ts'

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

function crashing(project: Project, reach: ReachPoint): Project {
  return {
    ...project,
    openCatalog: async () => crashingCatalog(await project.openCatalog(), reach),
    openStore: async (destination) => crashingStore(await project.openStore(destination), reach),
    openEncoder: async (...args) => crashingEncoder(await project.openEncoder(...args), reach),
  }
}

function crashingCatalog(catalog: Catalog, reach: ReachPoint): Catalog {
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
