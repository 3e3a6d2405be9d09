/**
 * The manifest that is in force: the newest that the catalog has and this program can read. One that it
 * cannot read is told once, and the one before stays.
 */
import { HakiriError } from '../../lib/error.ts'
import type { Manifest } from '../../manifest/manifest.ts'
import type { ServeDeps } from './deps.ts'

export type ActiveManifest = {
  readonly version: number
  readonly appliedAt: number
  readonly manifest: Manifest
}

export type ManifestFeed = {
  readonly current: () => ActiveManifest | undefined
  /** Looks at the catalog; true when the manifest is another one now. */
  refresh(): Promise<boolean>
}

export function createManifestFeed(
  deps: Pick<ServeDeps, 'catalog' | 'host' | 'logger'>,
): ManifestFeed {
  let current: ActiveManifest | undefined
  /** The newest version looked at, readable or not. */
  let seen = 0
  return {
    current: () => current,
    async refresh() {
      const stored = await deps.catalog.manifest()
      if (!stored || stored.version === seen) return false
      seen = stored.version
      const { version, appliedAt } = stored
      try {
        current = { version, appliedAt, manifest: deps.host.decodeManifest(stored) }
      } catch (error) {
        if (!(error instanceof HakiriError)) throw error
        const kept = current?.version ?? 'none'
        deps.logger.log('error', `manifest ${version} is not taken: ${error.message}`, { kept })
        return false
      }
      deps.logger.log('info', 'a manifest is in force', { version })
      return true
    },
  }
}
