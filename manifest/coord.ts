/**
 * Reads the [coord] section alone: a machine that only coordinates has no pipelines and no bucket, so
 * nothing else of its hakiri.toml has to be there. A file that is absent is an empty section.
 */
import { stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import * as v from 'valibot'
import { isObject, type Document } from './document.ts'
import type { LoadFrom } from './load.ts'
import { sortProblems, type Problem } from './problem.ts'
import { readDocument } from './read-files.ts'
import { coordSchema, type RawCoord } from './schema.ts'
import type { Sink } from './scope.ts'
import { validate } from './validate.ts'

const schema = v.looseObject({ coord: v.optional(coordSchema) })

export type CoordSection = {
  readonly values: RawCoord
  /** Relative paths start here. */
  readonly baseFolder: string
  /** The file, if there is one. */
  readonly file: string | undefined
}

export type CoordLoad =
  | { readonly ok: true; readonly section: CoordSection }
  | { readonly ok: false; readonly problems: readonly Problem[] }

export async function loadCoordSection(from: LoadFrom): Promise<CoordLoad> {
  const file = resolve('file' in from ? from.file : join(from.folder, 'hakiri.toml'))
  const baseFolder = dirname(file)
  const isAbsent = 'folder' in from && (await stat(file).catch(() => undefined)) === undefined
  if (isAbsent) return { ok: true, section: { values: {}, baseFolder, file: undefined } }
  const sink: Sink = { problems: [], warnings: [] }
  const document = await readDocument(file, sink)
  const problems = [...sink.problems, ...(document ? sectionProblems(document) : [])]
  if (!document || problems.length > 0)
    return { ok: false, problems: sortProblems(problems, [file]) }
  const values = (document.value['coord'] ?? {}) as RawCoord
  return { ok: true, section: { values, baseFolder, file } }
}

function sectionProblems(document: Document): readonly Problem[] {
  const coord = document.value['coord']
  if (coord !== undefined && !isObject(coord)) return validate(document, schema).problems
  return validate(document, schema).problems.filter(({ key }) => /^coord\b/.test(key))
}
