/** Finds and reads the files of a manifest: hakiri.toml and what lies in pipelines/ beside it. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Document, Read } from './document.ts'
import { problemAt, START, type Problem, type ProblemText } from './problem.ts'
import { readJson } from './read-json.ts'
import { readToml } from './read-toml.ts'
import type { Sink } from './scope.ts'

const FILE_BYTES_MAX = 4_000_000

export type PipelineFile = {
  readonly file: string
  /** The file name without its ending. */
  readonly name: string
  /** Undefined when it could not be read; the problem is reported already. */
  readonly document: Document | undefined
}

/** Every pipelines/NAME.toml and NAME.json, by name. */
export async function readPipelineFiles(folder: string, sink: Sink): Promise<PipelineFile[]> {
  const names = await readdir(folder).catch(() => [])
  const found: PipelineFile[] = []
  for (const name of names.filter((one) => !one.startsWith('.')).toSorted()) {
    const file = join(folder, name)
    const match = /^(.+)\.(toml|json)$/.exec(name)
    if (match) {
      found.push({ file, name: match[1]!, document: await readDocument(file, sink) })
    } else if (/\.(ya?ml|jsonc|json5)$/i.test(name)) {
      const text = {
        message: 'this file is not read',
        suggestion: 'Pipelines are .toml or .json files.',
      }
      sink.warnings.push(problemAt(file, START, [], 'CONFIG_INVALID', text))
    }
  }
  return found
}

/** The file as a Document; undefined, with its problems in `sink`, when it cannot be read as one. */
export async function readDocument(file: string, sink: Sink): Promise<Document | undefined> {
  const read = await readOne(file)
  sink.problems.push(...read.problems)
  return read.ok ? read.document : undefined
}

async function readOne(file: string): Promise<Read> {
  try {
    const { size } = await stat(file)
    if (size > FILE_BYTES_MAX) {
      const message = 'the file is too large for a configuration (more than 4 MB)'
      const suggestion = 'Split it into pipelines/NAME.toml files.'
      return unreadable(file, 'CONFIG_INVALID', { message, suggestion })
    }
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file))
    return file.endsWith('.json') ? readJson(file, text) : readToml(file, text)
  } catch (error) {
    return explainReadFailure(file, error)
  }
}

function explainReadFailure(file: string, error: unknown): Read {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
    const text = { message: 'the file is not valid UTF-8', suggestion: 'Save it as UTF-8.' }
    return unreadable(file, 'CONFIG_SYNTAX', text)
  }
  if (code === '') throw error
  const isMissing = code === 'ENOENT' || code === 'ENOTDIR'
  const message = isMissing ? 'there is no such file' : `the file cannot be read (${code})`
  const suggestion = 'Run `hakiri init`, or name the file with --config.'
  return unreadable(file, 'CONFIG_NOT_FOUND', { message, suggestion })
}

function unreadable(file: string, code: Problem['code'], text: ProblemText): Read {
  return { ok: false, problems: [problemAt(file, START, [], code, text)] }
}
