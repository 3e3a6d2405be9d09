/** `hakiri apply`: stores the manifest in the catalog as the next version; running workers pick it up. */
import type { Catalog } from '../../catalog/catalog.ts'
import type { ManifestVersion } from '../../catalog/cluster.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import { systemClock } from '../../lib/system/clock.ts'
import {
  compareManifests,
  type Difference,
  type ManifestDifference,
} from '../../manifest/compare.ts'
import type { Manifest } from '../../manifest/manifest.ts'
import { findOwnThings, type OwnThings } from '../../manifest/own-things.ts'
import { decodeManifest, encodeManifest, hashDocument } from '../../manifest/stored.ts'
import { whoAsks } from '../cluster.ts'
import type { CommandRun } from '../command.ts'
import { openProject } from '../project.ts'

export const apply: CommandRun = async ({ options, globals }, io) => {
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const document = encodeManifest(project.manifest)
  const hash = hashDocument(document)
  const stored = await catalog.manifest()
  const before = stored && readStored(stored)
  const difference = compareManifests(before?.manifest, project.manifest)
  const warnings = [...(before?.warnings ?? []), ...warningsOf(project.manifest, catalog)]
  const isEqual = stored?.hash === hash
  const dryRun = options['dryRun'] === true
  const now = isEqual || dryRun ? stored : await store(catalog, document, hash, project.manifest)
  const version = now?.version ?? 0
  return {
    result: {
      version,
      stored: !isEqual && !dryRun,
      equal: isEqual,
      pipelines: differenceJson(difference.pipelines),
      destinations: differenceJson(difference.destinations),
      settings: difference.settings,
      warnings,
    },
    summary: isEqual
      ? `✓ equal to version ${version}; nothing was stored`
      : dryRun
        ? `nothing was stored; without --dry-run this becomes version ${version + 1}`
        : `✓ version ${version} is stored; running workers pick it up`,
    text: [
      ...(isEqual ? [] : changeLines(difference)),
      ...warnings.map((text) => `⚠ ${text}`),
    ].join('\n'),
  }
}

async function store(
  catalog: Catalog,
  document: Json,
  hash: string,
  manifest: Manifest,
): Promise<ManifestVersion> {
  const by = whoAsks()
  const now = await catalog.applyManifest(document, hash, by)
  await catalog.addClusterEvents([
    {
      at: systemClock.now(),
      level: 'info',
      runId: null,
      pipeline: null,
      shard: null,
      worker: null,
      kind: 'manifest-applied',
      message: `version ${now.version}: ${Object.keys(manifest.pipelines).length} pipeline(s)`,
      data: { by, version: now.version },
    },
  ])
  return now
}

/** What a newer or older Hakiri stored cannot be compared with, but it can be replaced. */
function readStored(stored: ManifestVersion): {
  readonly manifest: Manifest | undefined
  readonly warnings: readonly string[]
} {
  try {
    return {
      manifest: decodeManifest(stored.document, { ...stored, baseFolder: '/' }),
      warnings: [],
    }
  } catch (error) {
    if (!(error instanceof HakiriError)) throw error
    return { manifest: undefined, warnings: [`${error.message}; nothing to compare with`] }
  }
}

function changeLines({ pipelines, destinations, settings }: ManifestDifference): readonly string[] {
  return [
    ...lines('pipeline', pipelines),
    ...lines('destination', destinations),
    ...settings.map((key) => `~ ${key}`),
    ...(pipelines.removed.length > 0
      ? ['  what is removed runs no more; its tables, shards and cursors stay']
      : []),
  ]
}

function lines(what: string, { added, removed, changed }: Difference): readonly string[] {
  return [
    ...added.map((name) => `+ ${what} ${name}`),
    ...removed.map((name) => `- ${what} ${name}`),
    ...changed.map(({ name, keys }) => `~ ${what} ${name}: ${keys.join(', ')}`),
  ]
}

function warningsOf(manifest: Manifest, catalog: Catalog): readonly string[] {
  const own: OwnThings = findOwnThings(manifest)
  return [
    ...own.relativePaths.map(
      ({ key, path }) =>
        `${key} = "${path}" is relative: each worker resolves it against its own folder`,
    ),
    ...(own.references.length > 0
      ? [`each worker must have ${own.references.join(', ')} for itself`]
      : []),
    ...(catalog.label.startsWith('sqlite:')
      ? [`the catalog is ${catalog.label}: only workers of this machine see it`]
      : []),
  ]
}

function differenceJson({ added, removed, changed }: Difference): Json {
  return { added, removed, changed: changed.map(({ name, keys }) => ({ name, keys })) }
}
