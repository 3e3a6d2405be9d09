/**
 * `hakiri serve`, composed with ports that end or stop this process at a chosen point. The first argument
 * says which: `kill:POINT:N` and `stop:POINT:N` send SIGKILL or SIGSTOP to this process the Nth time it
 * comes there. What follows is what `hakiri serve` takes. Product code knows nothing of this.
 */
import { resolve } from 'node:path'
import { writeSync } from 'node:fs'
import type { Catalog } from '../../catalog/catalog.ts'
import { createIo } from '../../cli/io.ts'
import { openCatalogAt } from '../../cli/project.ts'
import { freshScratch } from '../../cli/scratch.ts'
import { openCoordination } from '../../cli/serve/coordinate.ts'
import { createServeHost } from '../../cli/serve/host.ts'
import { identityOf } from '../../cli/serve/identity.ts'
import { observeServe } from '../../cli/serve/observe.ts'
import { resolveServe } from '../../cli/serve/settings.ts'
import type { Coordination, Membership } from '../../lease/coordination.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { createLogger } from '../../lib/system/log.ts'
import { createWorkerMetrics } from '../../worker/metrics.ts'
import type { ServeHost } from '../../worker/serve/deps.ts'
import { createServe } from '../../worker/serve/serve.ts'
import { type CrashPoint, crashingEncoder, crashingStore } from './crash-points.ts'

/** Where work begins, the six points of the commit path, and those of the planner. */
export type ServePoint =
  | 'before-claim'
  | 'before-acquire'
  | CrashPoint
  /** One batch of assignments is written, the others are not. */
  | 'amid-plan'
  /** A scheduled run is asked for; the planner does not know the answer yet. */
  | 'before-fire'
  | 'after-fire'

type Reach = (point: ServePoint) => void

async function main(): Promise<void> {
  const [plant = '', ...words] = process.argv.slice(2)
  const options = optionsOf(words)
  const globals = {
    json: true,
    quiet: false,
    verbose: false,
    config: '.',
    catalog: undefined,
    color: false,
  }
  const io = createIo(globals, 'after what is at work')
  const sections = {
    worker: {},
    coord: {},
    catalogUrl: undefined,
    file: undefined,
    backend: undefined,
    baseFolder: process.cwd(),
  }
  const settings = resolveServe({ options, env: process.env }, sections)
  const logger = createLogger({
    level: 'debug',
    json: true,
    write: (line) => void writeSync(2, line),
    redact: io.redact,
  })
  const reach = reachOf(plant)
  const scratchFolder = await freshScratch(resolve('.hakiri', 'scratch'))
  await using cleaning = new AsyncDisposableStack()
  const opened = cleaning.use(
    await openCatalogAt(String(process.env['HAKIRI_CATALOG']), process.cwd()),
  )
  const catalog = plantCatalog(opened, reach)
  const coordinating = cleaning.use(
    await openCoordination(settings, catalog.id, process.cwd(), logger),
  )
  const { observer } = observeServe(cleaning.use(createWorkerMetrics('planted')), logger)
  logger.log('info', 'the API listens', { url: 'none' })
  const host = createServeHost({ baseFolder: process.cwd(), scratchFolder, globals, io, logger })
  const worker = cleaning.use(
    createServe({
      catalog,
      coordination: plantCoordination(coordinating.coordination, plant, reach),
      identity: await identityOf(settings, 'planted:0'),
      settings: { ...settings, pollMs: 5_000 },
      host: plantHost(host, reach),
      observer,
      clock: systemClock,
      random: systemRandom,
      logger,
      scratchFolder,
      engine: 'hakiri/planted',
    }),
  )
  await worker.run(io.stop)
}

/** `--session-ttl 2s` → { sessionTtl: '2s' }; what this composition does not need is left out. */
function optionsOf(words: readonly string[]): { readonly [name: string]: string } {
  const options: Record<string, string> = {}
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ''
    if (!word.startsWith('--') || word === '--json') continue
    const name = word.slice(2).replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())
    options[name] = words[++at] ?? ''
  }
  return options
}

function reachOf(plant: string): Reach {
  const [how, point, nth = '1'] = plant.split(':')
  let seen = 0
  return (reached) => {
    if (reached !== point || ++seen !== Number(nth)) return
    // Written at once: a stopped process flushes nothing.
    writeSync(2, `${JSON.stringify({ message: 'planted', point })}\n`)
    process.kill(process.pid, how === 'stop' ? 'SIGSTOP' : 'SIGKILL')
  }
}

function plantCatalog(catalog: Catalog, reach: Reach): Catalog {
  const around = async <T>(call: () => Promise<T>): Promise<T> => {
    reach('before-commit')
    const outcome = await call()
    reach('after-commit')
    return outcome
  }
  return {
    ...catalog,
    commit: (commit) => around(() => catalog.commit(commit)),
    commitShards: (commits) => around(() => catalog.commitShards(commits)),
    acquireShards(shards, holder) {
      reach('before-acquire')
      return catalog.acquireShards(shards, holder)
    },
    async requestRun(run) {
      if (run.trigger === 'schedule') reach('before-fire')
      const admission = await catalog.requestRun(run)
      if (run.trigger === 'schedule') reach('after-fire')
      return admission
    },
  }
}

function plantCoordination(coordination: Coordination, plant: string, reach: Reach): Coordination {
  return {
    ...coordination,
    join: async (...args) => plantMembership(await coordination.join(...args), plant, reach),
  }
}

/** Assignments are written in batches of sixty: the first is through, and then this process is gone. */
const FIRST_BATCH = 60

function plantMembership(membership: Membership, plant: string, reach: Reach): Membership {
  const { name } = membership
  return {
    name,
    lost: membership.lost,
    certainUntil: () => membership.certainUntil(),
    claim(...args) {
      reach('before-claim')
      return membership.claim(...args)
    },
    release: (...args) => membership.release(...args),
    announceLeaving: (signal) => membership.announceLeaving(signal),
    async campaign(signal) {
      const term = await membership.campaign(signal)
      return {
        lost: term.lost,
        async publish(moves, publishing) {
          if (moves.length > FIRST_BATCH && plant.includes('amid-plan')) {
            await term.publish(moves.slice(0, FIRST_BATCH), publishing)
            reach('amid-plan')
          }
          return term.publish(moves, publishing)
        },
        [Symbol.asyncDispose]: () => term[Symbol.asyncDispose](),
      }
    },
    [Symbol.asyncDispose]: () => membership[Symbol.asyncDispose](),
  }
}

function plantHost(host: ServeHost, reach: Reach): ServeHost {
  return {
    ...host,
    openStore: async (...args) => crashingStore(await host.openStore(...args), reach),
    openEncoder: async (memoryBytes) => crashingEncoder(await host.openEncoder(memoryBytes), reach),
  }
}

if (import.meta.main) await main()
