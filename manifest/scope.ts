/** One pipeline as the checks see it: its own keys, what [defaults] add, and where each of them stands. */
import type { Document } from './document.ts'
import { problemAt, type Path, type Problem } from './problem.ts'
import type { RawDefaults, RawPipeline } from './schema.ts'

export type Report = (
  path: Path,
  message: string,
  suggestion?: string,
  code?: Problem['code'],
) => void

export type PipelineScope = {
  readonly name: string
  readonly document: Document
  /** Where the pipeline starts in its document. */
  readonly base: Path
  readonly merged: RawPipeline
  /** Reports at a path inside the pipeline, or in [defaults] when the value comes from there. */
  readonly report: Report
  readonly warn: Report
}

/** Objects of [defaults] that a pipeline's own keys are laid over; other keys replace as a whole. */
const LAYERED = ['write', 'schema', 'quarantine', 'retries', 'limits', 'placement'] as const

export function withDefaults(defaults: RawDefaults, own: RawPipeline): RawPipeline {
  const layered = LAYERED.flatMap((key) =>
    defaults[key] && own[key] ? [[key, { ...defaults[key], ...own[key] }] as const] : [],
  )
  return { ...defaults, ...own, ...Object.fromEntries(layered) }
}

/** Whether a part of hakiri.toml has the shape that its type promises. */
export type IsSound = (...path: string[]) => boolean

/** Where problems and warnings go. */
export type Sink = { readonly problems: Problem[]; readonly warnings: Problem[] }

export function reporter(document: Document, base: Path, into: Problem[]): Report {
  return (path, message, suggestion, code = 'CONFIG_INVALID') => {
    const full = [...base, ...path]
    const text = { message, suggestion }
    into.push(problemAt(document.file, document.valueAt(full), full, code, text))
  }
}

export function createScope(
  name: string,
  document: Document,
  base: Path,
  own: RawPipeline,
  main: { readonly document: Document; readonly defaults: RawDefaults },
  sink: Sink,
): PipelineScope {
  const choose = (into: Problem[]): Report => {
    const here = reporter(document, base, into)
    const inDefaults = reporter(main.document, ['defaults'], into)
    return (path, ...rest) => {
      const isInherited =
        !document.has([...base, ...path]) && main.document.has(['defaults', ...path])
      const report = isInherited ? inDefaults : here
      report(path, ...rest)
    }
  }
  return {
    name,
    document,
    base,
    merged: withDefaults(main.defaults, own),
    report: choose(sink.problems),
    warn: choose(sink.warnings),
  }
}
