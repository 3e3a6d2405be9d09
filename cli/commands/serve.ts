/**
 * `hakiri serve`: a worker until a signal ends it. With --coord it is one of a cluster and takes its
 * pipelines from the catalog; without, it coordinates itself and applies the hakiri.toml beside it, anew
 * at each SIGHUP. This is where the parts of a worker meet.
 */
import { rm } from 'node:fs/promises'
import { resolve as resolvePath } from 'node:path'
import type { Catalog } from '../../catalog/catalog.ts'
import { HakiriError, toHakiriError } from '../../lib/error.ts'
import type { Logger } from '../../lib/ports.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { loadServeSections, type ServeSections } from '../../manifest/serve-sections.ts'
import { CATALOG_DEFAULT } from '../../manifest/fill.ts'
import { createResolver } from '../../manifest/secrets.ts'
import { checkListen, createTokenGate, isLoopbackHost } from '../../worker/http/access.ts'
import { type ApiListener, listenApi } from '../../worker/http/listen.ts'
import { createWorkerMetrics, type WorkerMetrics } from '../../worker/metrics.ts'
import { createServe, type Serve } from '../../worker/serve/serve.ts'
import type { CommandIo, CommandOutput, CommandRun, Globals } from '../command.ts'
import { clientMemory } from '../memory.ts'
import { manifestAt } from '../manifest-at.ts'
import { openCatalogAt } from '../project.ts'
import { formatAddress } from '../coord/address.ts'
import { startIdleMemory } from '../coord/idle-memory.ts'
import { applyFile } from '../serve/apply-file.ts'
import { type Coordinating, openCoordination } from '../serve/coordinate.ts'
import { createServeHost } from '../serve/host.ts'
import { identityOf } from '../serve/identity.ts'
import { createServiceLogger } from '../journal.ts'
import { type Notifier, openNotifier } from '../notify.ts'
import { type Observation, observeServe } from '../serve/observe.ts'
import { freshScratch } from '../scratch.ts'
import { resolveServe, type ServeOptions } from '../serve/settings.ts'
import { version } from '../version.ts'

const POLL_MS = 5_000
/** What the end takes beyond the drain: sessions given back, connections closed. */
const AFTER_DRAIN_MS = 10_000

export const serve: CommandRun = async ({ options, globals }, io) => {
  const sections = await sectionsOf(globals)
  const settings = resolveServe({ options, env: process.env }, sections)
  const logger = createServiceLogger(globals, io)
  const stateFolder = resolvePath(sections.baseFolder, '.hakiri')
  const scratchFolder = await freshScratch(resolvePath(stateFolder, 'scratch'))
  await using cleaning = new AsyncDisposableStack()
  const notifier = cleaning.use(await openNotifier())
  cleaning.use(startIdleMemory())
  cleaning.defer(() => rm(scratchFolder, { recursive: true, force: true }))
  const catalog = cleaning.use(await openServeCatalog(sections, globals, io))
  checkListen(settings.bind.host, await catalog.tokens(), systemClock.now())
  const metrics = cleaning.use(createWorkerMetrics(version()))
  const coordinating = cleaning.use(
    await openCoordination(settings, catalog.id, sections.baseFolder, logger),
  )
  const place = {
    settings,
    sections,
    globals,
    io,
    logger,
    catalog,
    coordinating,
    metrics,
    notifier,
  }
  await serveAt({ ...place, scratchFolder }, cleaning)
  return output(settings)
}

type Place = {
  readonly settings: ServeOptions
  readonly sections: ServeSections
  readonly globals: Globals
  readonly io: CommandIo
  readonly logger: Logger
  readonly catalog: Catalog
  readonly coordinating: Coordinating
  readonly metrics: WorkerMetrics
  readonly notifier: Notifier
  readonly scratchFolder: string
}

async function serveAt(place: Place, cleaning: AsyncDisposableStack): Promise<void> {
  const { settings, sections, catalog, logger, io } = place
  const observation = observeServe(place.metrics, logger)
  let worker: Serve | undefined
  const api = cleaning.use(await openApi(place, () => worker))
  const address = formatAddress({ host: settings.bind.host, port: api.port })
  logger.log('info', 'the API listens', { url: `http://${address}` })
  const isAlone = settings.coord.length === 0
  if (isAlone) await applyFile(sections, catalog, settings.name, logger)
  const identity = await identityOf(settings, address)
  worker = cleaning.use(
    createServe({
      catalog,
      coordination: place.coordinating.coordination,
      identity,
      settings: { ...settings, pollMs: POLL_MS },
      host: createServeHost({ ...place, baseFolder: sections.baseFolder }),
      observer: observation.observer,
      clock: systemClock,
      random: systemRandom,
      logger,
      scratchFolder: place.scratchFolder,
      engine: `hakiri/${version()}`,
    }),
  )
  const onHangUp = (): void => void reload(place, isAlone, address)
  process.on('SIGHUP', onHangUp)
  cleaning.defer(() => void process.off('SIGHUP', onHangUp))
  observeWorker(place, observation, worker)
  place.notifier.ready(`worker ${settings.name}, the API listens on ${address}`)
  const onStop = (): void => place.notifier.stopping(settings.drainMs + AFTER_DRAIN_MS)
  io.stop.addEventListener('abort', onStop, { once: true })
  await worker.run(io.stop)
}

function observeWorker({ metrics, settings }: Place, { up }: Observation, worker: Serve): void {
  const state = {
    joining: 'joining',
    member: 'held',
    alone: 'detached',
    leaving: 'leaving',
  } as const
  metrics.observeWorker({
    session: () => state[worker.status().state],
    claims: () => worker.status().held,
    assignments: () => {
      const { view } = worker.status()
      return [...(view?.assignments.values() ?? [])].filter((to) => to === settings.name).length
    },
    slotsUsed: () => worker.status().atWork,
    slots: () => settings.slots,
    queueDepth: () => worker.status().pending,
    memoryBytes: clientMemory,
    memoryBytesMax: () => settings.memoryBytes,
    up,
    lag: () => worker.lag(),
  })
}

async function openApi(
  { settings, catalog, logger, coordinating, metrics }: Place,
  worker: () => Serve | undefined,
): Promise<ApiListener> {
  const { host, port } = settings.bind
  const isLoopback = isLoopbackHost(host)
  const startedAt = systemClock.now()
  const states = {
    joining: 'joining',
    member: 'held',
    alone: 'detached',
    leaving: 'leaving',
  } as const
  return listenApi(
    {
      catalog,
      clock: systemClock,
      logger,
      authorize: createTokenGate({ catalog, clock: systemClock, isLoopback }),
      status() {
        const status = worker()?.status()
        return {
          worker: settings.name,
          version: version(),
          startedAt,
          notReady: status ? status.reasons : ['starting'],
          session: states[status?.state ?? 'joining'],
          planner: status?.view?.planner ?? null,
          view: status?.view,
        }
      },
      coordinators: (signal) => coordinating.coordinators(signal),
      renderMetrics: () => metrics.render(),
      onRequest: (route, status, ms) => metrics.onRequest(route, status, ms),
    },
    { host, port, version: version() },
  )
}

/** A file that is not good is told, and what is in force stays. */
async function reload(
  { sections, catalog, settings, logger, notifier }: Place,
  isAlone: boolean,
  address: string,
): Promise<void> {
  notifier.reloading()
  try {
    if (isAlone) await applyFile(sections, catalog, settings.name, logger)
    else logger.log('info', 'nothing to reload: this worker takes its pipelines from the catalog')
  } catch (error) {
    const { code, message, place } = toHakiriError(error, 'CONFIG_INVALID')
    const where = place?.file === undefined ? {} : { file: place.file, line: place.line }
    logger.log('error', `the configuration stays as it is: ${message}`, { code, ...where })
  } finally {
    notifier.ready(`worker ${settings.name}, the API listens on ${address}`)
  }
}

async function sectionsOf(globals: Globals): Promise<ServeSections> {
  const loaded = await loadServeSections(manifestAt(globals.config))
  if (loaded.ok) return loaded.sections
  const [first] = loaded.problems
  if (!first) throw new HakiriError('CONFIG_INVALID', 'the configuration is not valid')
  const { code, message, suggestion, file, line, column, key } = first
  throw new HakiriError(code, message, {
    place: { file, line, column, key },
    ...(suggestion === undefined ? {} : { suggestion }),
  })
}

async function openServeCatalog(
  sections: ServeSections,
  globals: Globals,
  io: CommandIo,
): Promise<Catalog> {
  const resolver = createResolver({ env: process.env, baseFolder: sections.baseFolder })
  io.addRedaction((text) => resolver.redact(text))
  const reference = globals.catalog ?? sections.catalogUrl ?? CATALOG_DEFAULT
  return openCatalogAt(await resolver.resolve(reference), sections.baseFolder)
}

function output({ name }: ServeOptions): CommandOutput {
  return { result: { worker: name }, summary: `✓ worker ${name} stopped` }
}
