/** What the commands of a cluster share: its catalog, who asks, and waiting for something to be so. */
import { hostname, userInfo } from 'node:os'
import { dirname, resolve } from 'node:path'
import type { Catalog, ShardKey } from '../catalog/catalog.ts'
import { HakiriError } from '../lib/error.ts'
import { systemClock } from '../lib/system/clock.ts'
import { createResolver } from '../manifest/secrets.ts'
import type { Operator } from '../worker/operate.ts'
import { parseUnit } from '../worker/shard-view.ts'
import type { CommandIo, Globals } from './command.ts'
import { openCatalogAt, openProject } from './project.ts'

/** The catalog that --catalog names, which needs no hakiri.toml; else the one of the project. */
export async function openClusterCatalog(globals: Globals, io: CommandIo): Promise<Catalog> {
  if (globals.catalog === undefined) return (await openProject(globals, io)).openCatalog()
  const folder = globals.config.endsWith('.toml') ? dirname(globals.config) : globals.config
  const baseFolder = resolve(folder)
  const resolver = createResolver({ env: process.env, baseFolder })
  io.addRedaction((text) => resolver.redact(text))
  return openCatalogAt(await resolver.resolve(globals.catalog), baseFolder)
}

export function operatorOf(catalog: Catalog): Operator {
  return { catalog, clock: systemClock, by: whoAsks() }
}

/** user@host. */
export function whoAsks(): string {
  return `${userName()}@${hostname()}`
}

/** A process may run under a number that has no name. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 'unknown')
  }
}

/** `pipeline/shard`, as people write it. */
export function shardArgument(text: string): ShardKey {
  const key = parseUnit(text)
  if (key) return key
  throw new HakiriError('USAGE', `"${text}" is no shard`, {
    suggestion: 'Write PIPELINE/SHARD; `hakiri shards` lists them.',
  })
}

const LOOK_EVERY_MS = 500

/** Looks again and again until there is an answer; undefined when the command was told to stop. */
export async function waitUntil<T>(
  io: CommandIo,
  look: () => Promise<T | undefined>,
): Promise<T | undefined> {
  while (!io.stop.aborted) {
    const found = await look()
    if (found !== undefined) return found
    await systemClock.sleep(LOOK_EVERY_MS, io.stop).catch(() => undefined)
  }
  return undefined
}
