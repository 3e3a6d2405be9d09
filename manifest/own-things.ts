/** What a manifest leaves to each machine that works by it: references to look up, and relative paths. */
import { isAbsolute } from 'node:path'
import { REFERENCE } from './inline-secrets.ts'
import type { Manifest } from './manifest.ts'

export type OwnThings = {
  /** "env:DB", "file:/etc/token", "secret://name", sorted; each machine must have them. */
  readonly references: readonly string[]
  /** Key and path; each machine resolves them against its own folder. */
  readonly relativePaths: readonly { readonly key: string; readonly path: string }[]
}

export function findOwnThings(manifest: Manifest): OwnThings {
  const { destinations, pipelines } = manifest
  const references = new Set<string>()
  collectReferences([destinations, pipelines], references)
  return { references: [...references].toSorted(), relativePaths: relativePaths(manifest) }
}

/** An optional reference (`env:NAME?`) need not be there. */
function collectReferences(value: unknown, found: Set<string>): void {
  if (typeof value === 'string') {
    if (REFERENCE.test(value) && !value.startsWith('file://')) found.add(value)
  } else if (value !== null && typeof value === 'object') {
    for (const inner of Object.values(value)) collectReferences(inner, found)
  }
}

function relativePaths({ destinations, pipelines }: Manifest): OwnThings['relativePaths'] {
  const folders = Object.values(destinations).flatMap(({ name, type, url }) =>
    type === 'file' && isRelative(url) ? [{ key: `destination.${name}.url`, path: url }] : [],
  )
  const sources = Object.values(pipelines).flatMap(({ name, source }) =>
    source.type === 'file'
      ? source.paths.filter(isRelative).map((path) => ({ key: `pipelines.${name}.source`, path }))
      : [],
  )
  return [...folders, ...sources]
}

/** "lake", "~/lake" excluded: a home folder differs too, but is not resolved against the project. */
function isRelative(path: string): boolean {
  return !isAbsolute(path) && !REFERENCE.test(path) && !/^[a-z][a-z0-9+.-]*:\/\//i.test(path)
}
