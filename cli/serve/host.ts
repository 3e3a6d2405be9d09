/** Opens what the manifest of a cluster names, with this machine's secrets and folders. */
import type { Logger } from '../../lib/ports.ts'
import { systemClock } from '../../lib/system/clock.ts'
import type { Manifest } from '../../manifest/manifest.ts'
import { newestStart } from '../../manifest/newest-start.ts'
import { decodeManifest } from '../../manifest/stored.ts'
import type { ServeHost } from '../../worker/serve/deps.ts'
import type { CommandIo, Globals } from '../command.ts'
import { encoderProgram } from '../artifact/self.ts'
import { projectOf, type Project } from '../project.ts'

export type HostParts = {
  /** Relative paths of a manifest start here, on each worker in its own folder. */
  readonly baseFolder: string
  readonly scratchFolder: string
  readonly globals: Globals
  readonly io: CommandIo
  readonly logger: Logger
}

export function createServeHost(parts: HostParts): ServeHost {
  const { baseFolder, scratchFolder, globals, io, logger } = parts
  const projects = new WeakMap<Manifest, Project>()
  const projectFor = (manifest: Manifest): Project => {
    const project = projects.get(manifest) ?? projectOf(manifest, globals, { ...io, logger })
    projects.set(manifest, project)
    return project
  }
  return {
    decodeManifest: ({ document, version, appliedBy }) =>
      decodeManifest(document, { version, appliedBy, baseFolder }),
    openStore: (manifest, destination, cutOff) =>
      projectFor(manifest).openStore(destination, cutOff),
    async openEncoder(memoryBytes) {
      const { createEncoder } = await import('../../sink/encoder/create.ts')
      return createEncoder({
        memoryBytes,
        tempFolder: scratchFolder,
        logger,
        clock: systemClock,
        ...encoderProgram(),
      })
    },
    async connector(pipeline) {
      const { createConnector } = await import('../connectors.ts')
      return createConnector(pipeline)
    },
    connectorHost: (manifest, pipeline) => projectFor(manifest).connectorHost(pipeline),
    newestCron: newestStart,
  }
}
