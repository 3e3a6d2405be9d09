/**
 * What the house rules look at: the files of the repository, and for TypeScript files their imports
 * and syntax tree. Reading is here, judging is in the rule files beside it.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'
import { fileURLToPath } from 'node:url'
import { Visitor, parseSync } from 'oxc-parser'
import type { VisitorObject } from 'oxc-parser'

/** One breach of one rule. */
export type Breach = { readonly path: string; readonly line: number; readonly message: string }

export type TextFile = { readonly path: string; readonly text: string }

export type ImportKind =
  /** Loaded when the program runs. */
  | 'value'
  /** Erased before the program runs. */
  | 'type'
  /** A file named by a string beside it, such as the program of a child process. */
  | 'reference'

export type Import = {
  readonly kind: ImportKind
  /** As written. */
  readonly specifier: string
  /** Path from the repository's root for a relative specifier; undefined for packages. */
  readonly target: string | undefined
  readonly line: number
}

export type SourceFile = TextFile & {
  readonly imports: readonly Import[]
  /** Walks the syntax tree. */
  walk(visitor: VisitorObject): void
  lineAt(offset: number): number
}

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

const BINARY = /\.(parquet|png|ico|wasm|gz|tgz|zip|db)$/

/** Every text file that is part of the repository or about to be. */
export function readRepository(): TextFile[] {
  const listed = execFileSync('git', ['ls-files', '-z', '-co', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  const paths = listed.split('\0').filter((path) => path !== '' && !BINARY.test(path))
  return paths
    .filter((path) => existsSync(join(ROOT, path)))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))
}

export function isTest(path: string): boolean {
  return path.startsWith('test/') || path.endsWith('.test.ts')
}

/** The part of the repository that is the product, not its tests, benchmarks or packaging. */
export function isProduct(path: string): boolean {
  return path.endsWith('.ts') && !isTest(path) && !/^(bench|deploy)\//.test(path)
}

/** Parses a TypeScript file; throws on a syntax error. */
export function parseSource({ path, text }: TextFile): SourceFile {
  const { program, errors } = parseSync(path, text)
  const [error] = errors
  if (error) throw new Error(`${path}: ${error.message}`)
  const starts = lineStarts(text)
  const lineAt = (offset: number): number => starts.findLastIndex((start) => start <= offset) + 1
  const walk = (visitor: VisitorObject): void => new Visitor(visitor).visit(program)
  const imports: Import[] = []
  const sources = new Set<number>()
  const note = (kind: ImportKind, specifier: string, at: number): void => {
    const isRelative = kind === 'reference' || specifier.startsWith('.')
    const target = isRelative ? join(dirname(path), specifier) : undefined
    sources.add(at)
    imports.push({ kind, specifier, target, line: lineAt(at) })
  }
  const kindOf = (marker: 'type' | 'value' | null): ImportKind =>
    marker === 'type' ? 'type' : 'value'
  walk({
    ImportDeclaration: ({ importKind, source }) =>
      note(kindOf(importKind ?? null), source.value, source.start),
    ExportAllDeclaration: ({ exportKind, source }) =>
      note(kindOf(exportKind ?? null), source.value, source.start),
    ExportNamedDeclaration: ({ exportKind, source }) => {
      if (source) note(kindOf(exportKind ?? null), source.value, source.start)
    },
    ImportExpression: ({ source }) => {
      if (source.type === 'Literal') note('value', String(source.value), source.start)
    },
    TSImportType: ({ source }) => note('type', source.value, source.start),
    // Parents come first: what is left here is a file name in plain code.
    Literal: ({ value, start }) => {
      const isFile = typeof value === 'string' && /^[\w./-]+\.ts$/.test(value)
      if (isFile && !sources.has(start)) note('reference', value, start)
    },
  })
  return { path, text, imports, walk, lineAt }
}

function lineStarts(text: string): number[] {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return starts
}
