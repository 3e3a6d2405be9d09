/** Brings together the pipelines of hakiri.toml and those of pipelines/NAME.toml|json. */
import { basename } from 'node:path'
import { isObject, type Document } from './document.ts'
import { findInlineSecrets } from './inline-secrets.ts'
import { problemAt, START, type Path, type Problem } from './problem.ts'
import type { PipelineFile } from './read-files.ts'
import { pipelineFileSchema, type RawPipeline } from './schema.ts'
import { NAME } from './schema-parts.ts'
import { reporter, type IsSound, type Sink } from './scope.ts'
import { validate } from './validate.ts'

/** A pipeline with the right shape, ready to be checked further. */
export type Candidate = {
  readonly name: string
  readonly document: Document
  /** Where it starts in the document. */
  readonly base: Path
  readonly own: RawPipeline
}

/** Reports what is wrong with names and with pipeline files, and returns what is well formed. */
export function collectPipelines(
  main: Document,
  files: readonly PipelineFile[],
  isSound: IsSound,
  sink: Sink,
): readonly Candidate[] {
  const section = main.value['pipelines']
  const inMain = isObject(section) ? Object.entries(section) : []
  if (inMain.length + files.length === 0) {
    const suggestion = 'Add a [pipelines.NAME] section.'
    reporter(main, ['pipelines'], sink.warnings)([], 'no pipeline is defined', suggestion)
  }
  const owners = new Map<string, string>()
  const found: Candidate[] = []
  for (const [name, own] of inMain) {
    const base = ['pipelines', name]
    owners.set(name, `${main.file}:${main.keyAt(base).line}`)
    if (!isSound(...base)) continue
    found.push({ name, document: main, base, own: own as unknown as RawPipeline })
  }
  for (const one of files) {
    const owner = owners.get(one.name)
    owners.set(one.name, owner ?? one.file)
    const own = checkFile(one, owner, sink)
    if (own && one.document) found.push({ name: one.name, document: one.document, base: [], own })
  }
  return found
}

function checkFile(
  { file, name, document }: PipelineFile,
  owner: string | undefined,
  sink: Sink,
): RawPipeline | undefined {
  if (owner !== undefined) sink.problems.push(clash(file, name, owner))
  if (!NAME.test(name)) sink.problems.push(badName(file, name))
  if (!document) return undefined
  const { problems, broken } = validate(document, pipelineFileSchema)
  sink.problems.push(...problems, ...findInlineSecrets(document))
  const isSound = broken.length === 0 && owner === undefined
  return isSound ? (document.value as unknown as RawPipeline) : undefined
}

function clash(file: string, name: string, owner: string): Problem {
  const message = `the pipeline "${name}" is defined twice: in ${owner} and in ${file}`
  const suggestion = 'Rename or remove one of them.'
  return problemAt(file, START, [], 'CONFIG_INVALID', { message, suggestion })
}

function badName(file: string, name: string): Problem {
  const message = `${JSON.stringify(basename(file))} does not make a good pipeline name`
  const better = name.toLowerCase().replaceAll(/[^a-z0-9_-]+/g, '-')
  const suggestion = `Name the file like ${better}.toml: a-z, 0-9, - and _, starting with a letter.`
  return problemAt(file, START, [], 'CONFIG_INVALID', { message, suggestion })
}
