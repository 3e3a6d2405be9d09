/** Opens what a worker needs for one destination, and closes it again. */
import type { Catalog } from '../catalog/catalog.ts'
import { systemClock, systemRandom } from '../lib/system/clock.ts'
import type { Destination } from '../manifest/manifest.ts'
import type { ProgressEvent, WorkerDeps } from '../worker/deps.ts'
import type { CommandIo } from './command.ts'
import { workerName, type Project } from './project.ts'

export type WorkerOptions = {
  readonly catalog: Catalog
  readonly destination: Destination
  readonly scratchFolder: string
  readonly encoderBytes: number
  readonly io: CommandIo
  readonly onProgress: (event: ProgressEvent) => void
}

export async function openWorker(
  project: Project,
  options: WorkerOptions,
): Promise<AsyncDisposable & { readonly deps: WorkerDeps }> {
  const { catalog, scratchFolder, io, onProgress } = options
  const store = await project.openStore(options.destination)
  const encoder = await project.openEncoder(options.encoderBytes, scratchFolder)
  return {
    deps: {
      catalog,
      store,
      encoder,
      scratchFolder,
      onProgress,
      clock: systemClock,
      random: systemRandom,
      logger: io.logger,
      worker: workerName(),
      engine: project.engine,
    },
    async [Symbol.asyncDispose]() {
      await encoder[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
    },
  }
}
