/**
 * Reads hakiri.toml and pipelines/*, and gives back either a complete typed manifest or every problem at
 * once. Never throws for what a user wrote.
 */
import { dirname, join, resolve } from 'node:path'
import { checkCatalog, checkDestination, warnUnused } from './check-manifest.ts'
import { checkPipeline } from './check-pipeline.ts'
import { collectPipelines, type Candidate } from './collect.ts'
import { isObject, type Document } from './document.ts'
import { CATALOG_DEFAULT, fillDestination, fillPipeline } from './fill.ts'
import { findInlineSecrets } from './inline-secrets.ts'
import type { Manifest } from './manifest.ts'
import { sortProblems, type Path, type Problem } from './problem.ts'
import { readDocument, readPipelineFiles, type PipelineFile } from './read-files.ts'
import {
  manifestSchema,
  type RawDefaults,
  type RawDestination,
  type RawManifest,
} from './schema.ts'
import { createScope, reporter, type IsSound, type PipelineScope, type Sink } from './scope.ts'
import { validate } from './validate.ts'
import { nearest, oneOf } from './words.ts'

const MANIFEST_FILE = 'hakiri.toml'

export type LoadResult =
  | { readonly ok: true; readonly manifest: Manifest; readonly warnings: readonly Problem[] }
  | {
      readonly ok: false
      readonly problems: readonly Problem[]
      readonly warnings: readonly Problem[]
    }

/** hakiri.toml itself under any name, or the folder it is in. */
export type LoadFrom = { readonly file: string } | { readonly folder: string }

/** Loads the file and the pipelines/ folder beside it. */
export async function loadManifest(from: LoadFrom): Promise<LoadResult> {
  const mainFile = resolve('file' in from ? from.file : join(from.folder, MANIFEST_FILE))
  const sink: Sink = { problems: [], warnings: [] }
  const main = await readDocument(mainFile, sink)
  const extra = await readPipelineFiles(join(dirname(mainFile), 'pipelines'), sink)
  const files = [mainFile, ...extra.map(({ file }) => file)]
  const manifest = main && assemble(main, extra, files, sink)
  const warnings = sortProblems(sink.warnings, files)
  return manifest && sink.problems.length === 0
    ? { ok: true, manifest, warnings }
    : { ok: false, problems: sortProblems(sink.problems, files), warnings }
}

/** Runs every check that the findings so far leave meaningful; undefined when one of them complained. */
function assemble(
  main: Document,
  extra: readonly PipelineFile[],
  files: readonly string[],
  sink: Sink,
): Manifest | undefined {
  const raw = main.value as RawManifest
  const { problems, broken } = validate(main, manifestSchema)
  sink.problems.push(...problems, ...findInlineSecrets(main))
  const isSound: IsSound = (...path) => !broken.some((one) => isWithin(one, path))

  if (isSound('catalog')) checkCatalog(raw, reporter(main, [], sink.problems))
  const destinations = checkDestinations(main, isSound, sink)
  warnUnused(raw, reporter(main, [], sink.warnings))
  const candidates = collectPipelines(main, extra, isSound, sink)
  const defaults = isSound('defaults') ? (raw.defaults ?? {}) : undefined
  const scopes = checkPipelines(main, candidates, defaults, destinations.names, sink)
  if (sink.problems.length > 0) return undefined

  const pipelines = scopes.map(({ name, merged }) =>
    fillPipeline(name, merged, merged.destination ?? destinations.names[0] ?? ''),
  )
  return {
    baseFolder: dirname(main.file),
    files,
    catalogUrl: raw.catalog?.url ?? CATALOG_DEFAULT,
    destinations: Object.fromEntries(
      destinations.sound.map(([name, one]) => [name, fillDestination(name, one)]),
    ),
    pipelines: Object.fromEntries(pipelines.map((pipeline) => [pipeline.name, pipeline])),
    coordBackend: raw.coord_backend ?? 'local',
  }
}

/** A fault at `["pipelines"]` spoils every pipeline; one below `["pipelines", "a"]` only that one. */
function isWithin(fault: Path, part: Path): boolean {
  const length = Math.min(fault.length, part.length)
  return part.slice(0, length).every((step, index) => step === fault[index])
}

type Destinations = {
  /** All that are named, whether or not they are well formed. */
  readonly names: readonly string[]
  readonly sound: readonly (readonly [string, RawDestination])[]
}

function checkDestinations(main: Document, isSound: IsSound, sink: Sink): Destinations {
  const section = main.value['destination']
  const all = isObject(section) ? Object.entries(section) : []
  const sound = all
    .filter(([name]) => isSound('destination', name))
    .map(([name, one]) => [name, one as unknown as RawDestination] as const)
  const report = reporter(main, [], sink.problems)
  for (const [name, destination] of sound) checkDestination(name, destination, report)
  return { names: all.map(([name]) => name), sound }
}

/** Without sound [defaults] nothing is said about what a pipeline lacks. */
function checkPipelines(
  main: Document,
  candidates: readonly Candidate[],
  defaults: RawDefaults | undefined,
  destinations: readonly string[],
  sink: Sink,
): PipelineScope[] {
  const known = { document: main, defaults: defaults ?? {} }
  return candidates.map(({ name, document, base, own }) => {
    const scope = createScope(name, document, base, own, known, sink)
    if (defaults) {
      checkDestinationName(scope, destinations)
      checkPipeline(scope)
    }
    return scope
  })
}

/** A pipeline names its destination, unless there is only one. */
function checkDestinationName({ merged, report }: PipelineScope, names: readonly string[]): void {
  const named = merged.destination
  if (named === undefined ? names.length === 1 : names.includes(named)) return
  if (named === undefined && names.length === 0) {
    const suggestion = 'Add [destination.lake] with type = "file" and url = "lake".'
    report(['destination'], 'there is no destination to write to', suggestion)
  } else if (named === undefined) {
    const suggestion = `Add destination = ${oneOf(names)}.`
    report(['destination'], 'the key "destination" is missing', suggestion)
  } else {
    const near = nearest(named, names)
    const suggestion = near
      ? `Did you mean ${JSON.stringify(near)}?`
      : `Add [destination.${named}]${names.length > 0 ? `, or use ${oneOf(names)}` : ''}.`
    report(['destination'], `there is no destination ${JSON.stringify(named)}`, suggestion)
  }
}
