/** The composition root: turns hakiri.toml into open catalogs, stores, connectors and encoders. */
import { mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { isAbsolute, join, resolve as resolvePath } from 'node:path'
import type { Catalog } from '../catalog/catalog.ts'
import type { Connector, SourceBucket } from '../connector/connector.ts'
import { HakiriError } from '../lib/error.ts'
import { systemClock, systemRandom } from '../lib/system/clock.ts'
import { loadManifest } from '../manifest/load.ts'
import type { Credentials, Destination, Manifest, Pipeline } from '../manifest/manifest.ts'
import type { Problem } from '../manifest/problem.ts'
import { createResolver, type Resolver } from '../manifest/secrets.ts'
import type { Encoder } from '../sink/encoder/encoder.ts'
import type { StoreConfig } from '../sink/store/open.ts'
import type { ObjectStore } from '../sink/store/store.ts'
import type { ConnectorHost } from '../worker/deps.ts'
import type { CommandIo, Globals } from './command.ts'
import { encoderProgram } from './artifact/self.ts'
import { manifestAt } from './manifest-at.ts'
import { freshScratch } from './scratch.ts'
import { version } from './version.ts'

export type Project = {
  readonly manifest: Manifest
  readonly resolver: Resolver
  /** "hakiri/0.1.0", as table logs name the writer. */
  readonly engine: string
  /** Where Hakiri keeps its own files: .hakiri beside hakiri.toml. */
  readonly stateFolder: string
  pipelines(names: readonly string[]): readonly Pipeline[]
  destination(name: string): Destination
  openCatalog(): Promise<Catalog>
  /** `signal` ends every request of the store. */
  openStore(destination: Destination, signal?: AbortSignal): Promise<ObjectStore>
  openEncoder(memoryBytes: number, scratchFolder: string): Promise<Encoder>
  connector(pipeline: Pipeline): Promise<Connector>
  connectorHost(pipeline: Pipeline): ConnectorHost
  /** A fresh folder of this process alone; folders of processes that died are removed. */
  scratchFolder(): Promise<string>
}

/** Loads the manifest or throws its first problem; `validate` shows them all. */
export async function openProject(globals: Globals, io: CommandIo): Promise<Project> {
  const loaded = await loadManifest(manifestAt(globals.config))
  if (!loaded.ok) {
    const [first] = loaded.problems
    if (!first) throw new HakiriError('CONFIG_INVALID', 'the configuration is not valid')
    throw firstProblem(first, loaded.problems.length)
  }
  return projectOf(loaded.manifest, globals, io)
}

function firstProblem(first: Problem, count: number): HakiriError {
  const more = count > 1 ? ` (and ${count - 1} more: run \`hakiri validate\`)` : ''
  const { file, line, column, key, suggestion } = first
  return new HakiriError(first.code, first.message + more, {
    place: { file, line, column, key },
    ...(suggestion === undefined ? {} : { suggestion }),
  })
}

/** A project of a manifest that is there already. */
export function projectOf(manifest: Manifest, globals: Globals, io: CommandIo): Project {
  const resolver = createResolver({ env: process.env, baseFolder: manifest.baseFolder })
  io.addRedaction((text) => resolver.redact(text))
  const stateFolder = join(manifest.baseFolder, '.hakiri')
  const deps = { clock: systemClock, random: systemRandom, logger: io.logger }
  const project: Project = {
    manifest,
    resolver,
    engine: `hakiri/${version()}`,
    stateFolder,
    pipelines: (names) => selectPipelines(manifest, names),
    destination: (name) => {
      const destination = manifest.destinations[name]
      if (!destination) throw new HakiriError('NOT_FOUND', `no destination ${name}`)
      return destination
    },
    async openCatalog() {
      const url = await resolver.resolve(globals.catalog ?? manifest.catalogUrl)
      return openCatalogAt(url, manifest.baseFolder)
    },
    async openStore(destination, signal) {
      const { openStore } = await import('../sink/store/open.ts')
      const config = await storeConfig(destination, manifest.baseFolder, resolver)
      return openStore(config, { ...deps, ...(signal && { signal }) })
    },
    async openEncoder(memoryBytes, scratchFolder) {
      const { createEncoder } = await import('../sink/encoder/create.ts')
      return createEncoder({
        memoryBytes,
        tempFolder: scratchFolder,
        logger: io.logger,
        clock: systemClock,
        ...encoderProgram(),
      })
    },
    async connector(pipeline) {
      const { createConnector } = await import('./connectors.ts')
      return createConnector(pipeline)
    },
    connectorHost: (pipeline) => connectorHost(project, pipeline, io),
    scratchFolder: () => freshScratch(join(stateFolder, 'scratch')),
  }
  return project
}

/** A path is relative to `baseFolder`, and its folder is made. */
export async function openCatalogAt(url: string, baseFolder: string): Promise<Catalog> {
  const { openCatalog } = await import('../catalog/open.ts')
  const located = /^postgres(ql)?:/.test(url)
    ? url
    : resolvePath(baseFolder, url.replace(/^sqlite:(\/\/)?/, ''))
  if (located !== url) await mkdir(join(located, '..'), { recursive: true })
  return openCatalog(located, { clock: systemClock, random: systemRandom })
}

function selectPipelines(manifest: Manifest, names: readonly string[]): readonly Pipeline[] {
  const all = Object.values(manifest.pipelines)
  if (names.length === 0) return all
  return names.map((name) => {
    const found = manifest.pipelines[name]
    if (found) return found
    throw new HakiriError('NOT_FOUND', `no pipeline ${name} in ${manifest.files[0]}`, {
      suggestion: `There is ${all.map((pipeline) => pipeline.name).join(', ') || 'none'}.`,
    })
  })
}

/** Who works: host and process, so that a crashed run is told apart from one at work. */
export function workerName(): string {
  return `${hostname()}:${process.pid}`
}

async function storeConfig(
  destination: Destination,
  baseFolder: string,
  resolver: Resolver,
): Promise<StoreConfig> {
  const url = await resolver.resolve(destination.url)
  if (destination.type === 'file')
    return { type: 'file', url: isAbsolute(url) ? url : join(baseFolder, url) }
  return {
    type: 's3',
    url,
    region: destination.region,
    endpoint:
      destination.endpoint === undefined ? undefined : await resolver.resolve(destination.endpoint),
    credentials: await resolveCredentials(destination.credentials, resolver),
  }
}

async function resolveCredentials(credentials: Credentials | undefined, resolver: Resolver) {
  if (!credentials) return undefined
  const { accessKeyId, secretAccessKey, sessionToken } = credentials
  return {
    accessKeyId: await resolver.resolve(accessKeyId),
    secretAccessKey: await resolver.resolve(secretAccessKey),
    sessionToken: sessionToken === undefined ? undefined : await resolver.resolve(sessionToken),
  }
}

function connectorHost(project: Project, pipeline: Pipeline, io: CommandIo): ConnectorHost {
  return (signal, count, chunkBytesMax) => ({
    resolve: (reference) => project.resolver.resolve(reference),
    clock: systemClock,
    random: systemRandom,
    logger: io.logger,
    signal,
    baseFolder: project.manifest.baseFolder,
    chunkBytesMax,
    count,
    openBucket: (url) => openSourceBucket(url, pipeline, project, io),
  })
}

/** A bucket that a file source reads from, under the credentials of that source. */
async function openSourceBucket(
  url: string,
  pipeline: Pipeline,
  project: Project,
  io: CommandIo,
): Promise<SourceBucket> {
  const { source } = pipeline
  if (source.type !== 'file')
    throw new HakiriError('CONFIG_INVALID', `${source.type} sources read no bucket`)
  const { openStore } = await import('../sink/store/open.ts')
  const store = await openStore(
    {
      type: 's3',
      url,
      region: source.region,
      endpoint:
        source.endpoint === undefined ? undefined : await project.resolver.resolve(source.endpoint),
      credentials: await resolveCredentials(source.credentials, project.resolver),
    },
    { clock: systemClock, random: systemRandom, logger: io.logger },
  )
  return {
    list: (prefix) => store.list(prefix),
    read: (key, start, end) => store.read(key, start, end),
  }
}
