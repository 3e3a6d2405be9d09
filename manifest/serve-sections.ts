/**
 * What `hakiri serve` itself is told by a hakiri.toml: [worker], [coord], coord_backend and the catalog. A
 * worker of a cluster takes its pipelines from the catalog, so nothing else of the file has to be there;
 * a file that is absent says nothing.
 */
import { stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import * as v from 'valibot'
import type { Document } from './document.ts'
import type { LoadFrom } from './load.ts'
import { sortProblems, type Problem } from './problem.ts'
import { readDocument } from './read-files.ts'
import { coordSchema, type RawCoord, type RawWorker, workerSchema } from './schema.ts'
import type { Sink } from './scope.ts'
import { validate } from './validate.ts'

const schema = v.looseObject({
  coord: v.optional(coordSchema),
  worker: v.optional(workerSchema),
  coord_backend: v.optional(v.picklist(['local', 'raft', 'etcd'])),
  catalog: v.optional(v.looseObject({ url: v.optional(v.string()) })),
})

export type ServeSections = {
  readonly worker: RawWorker
  readonly coord: RawCoord
  readonly backend: 'local' | 'raft' | 'etcd' | undefined
  readonly catalogUrl: string | undefined
  /** Relative paths start here. */
  readonly baseFolder: string
  /** The file, if there is one. */
  readonly file: string | undefined
}

export type ServeSectionsLoad =
  | { readonly ok: true; readonly sections: ServeSections }
  | { readonly ok: false; readonly problems: readonly Problem[] }

export async function loadServeSections(from: LoadFrom): Promise<ServeSectionsLoad> {
  const file = resolve('file' in from ? from.file : join(from.folder, 'hakiri.toml'))
  const baseFolder = dirname(file)
  const isAbsent = 'folder' in from && (await stat(file).catch(() => undefined)) === undefined
  if (isAbsent) return { ok: true, sections: sectionsOf({}, baseFolder, undefined) }
  const sink: Sink = { problems: [], warnings: [] }
  const document = await readDocument(file, sink)
  const problems = [...sink.problems, ...(document ? problemsOf(document) : [])]
  if (!document || problems.length > 0)
    return { ok: false, problems: sortProblems(problems, [file]) }
  return { ok: true, sections: sectionsOf(document.value, baseFolder, file) }
}

function problemsOf(document: Document): readonly Problem[] {
  return validate(document, schema).problems
}

function sectionsOf(
  value: Document['value'],
  baseFolder: string,
  file: string | undefined,
): ServeSections {
  const raw = value as v.InferOutput<typeof schema>
  return {
    worker: raw.worker ?? {},
    coord: raw.coord ?? {},
    backend: raw.coord_backend,
    catalogUrl: raw.catalog?.url,
    baseFolder,
    file,
  }
}
