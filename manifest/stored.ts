/**
 * The manifest as the catalog keeps it for a cluster: JSON of the typed form. References stay as they are
 * written and relative paths stay relative, since each worker resolves both for itself; secrets are
 * never in it. Invariant: decoding what was encoded gives an equal manifest, but for the folder and the
 * files, which are the reader's own.
 */
import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { HakiriError } from '../lib/error.ts'
import { stableStringify, type Json } from '../lib/json.ts'
import type { Manifest } from './manifest.ts'
import { formatPath } from './problem.ts'
import { storedSchema } from './stored-schema.ts'

/** Raised when a reader of an older version could misread a document of a newer one. */
const FORMAT = 1

/** The document for the catalog: `{"format": 1, "manifest": {…}}`. */
export function encodeManifest(manifest: Manifest): Json {
  const { catalogUrl, destinations, pipelines, coordBackend } = manifest
  const stored = { catalogUrl, destinations, pipelines, coordBackend }
  return { format: FORMAT, manifest: JSON.parse(JSON.stringify(stored)) as Json }
}

/** SHA-256 of a document, hex: equal for equal documents, whatever the order of their keys. */
export function hashDocument(document: Json): string {
  return createHash('sha256').update(stableStringify(document)).digest('hex')
}

export type StoredOrigin = {
  /** In the catalog. */
  readonly version: number
  readonly appliedBy: string
  /** Where relative paths start here. */
  readonly baseFolder: string
}

/** The manifest of a document; CONFIG_INVALID when this version of Hakiri cannot read it. */
export function decodeManifest(document: Json, origin: StoredOrigin): Manifest {
  const stored = document !== null && typeof document === 'object' ? document : {}
  const { format, manifest } = stored as { readonly [key: string]: Json }
  if (typeof format !== 'number' || !Number.isSafeInteger(format) || format < 1)
    throw unreadable(origin, 'is not a stored manifest', APPLY_AGAIN)
  if (format > FORMAT)
    throw unreadable(
      origin,
      `has format ${format}, and this Hakiri reads up to ${FORMAT}: a newer one wrote it`,
      NEWER,
    )
  const parsed = v.safeParse(storedSchema, manifest)
  if (!parsed.success) throw describeIssue(parsed.issues[0], origin)
  return { ...parsed.output, baseFolder: origin.baseFolder, files: [] }
}

const APPLY_AGAIN = 'Run `hakiri apply` again with the hakiri.toml that is meant.'
const NEWER = 'Bring this machine to that version, or run `hakiri apply` with this one.'

function describeIssue(issue: v.BaseIssue<unknown>, origin: StoredOrigin): HakiriError {
  const steps = (issue.path ?? []).map(({ key }) => (typeof key === 'number' ? key : String(key)))
  const where = formatPath(steps)
  const isUnknown = issue.expected === 'never'
  return isUnknown
    ? unreadable(origin, `has the key ${where}, which a newer Hakiri wrote`, NEWER)
    : unreadable(
        origin,
        `cannot be read at ${where || 'its top'} (expected ${issue.expected ?? 'something else'}): an older Hakiri wrote it, or it was changed by hand`,
        APPLY_AGAIN,
      )
}

function unreadable(origin: StoredOrigin, what: string, suggestion: string): HakiriError {
  return new HakiriError(
    'CONFIG_INVALID',
    `manifest version ${origin.version} (applied by ${origin.appliedBy}) ${what}`,
    { suggestion },
  )
}
