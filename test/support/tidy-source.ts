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
  /** A file named by a relative string, such as the program of a child process. */
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

/** The part of the repository that is the product, not its tests or benchmarks. */
export function isProduct(path: string): boolean {
  return path.endsWith('.ts') && !isTest(path) && !path.startsWith('bench/')
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
  const note = (kind: ImportKind, specifier: unknown, offset: number): void => {
    if (typeof specifier !== 'string') return
    const target = specifier.startsWith('.') ? join(dirname(path), specifier) : undefined
    imports.push({ kind, specifier, target, line: lineAt(offset) })
  }
  walk({
    ImportDeclaration: (node) =>
      note(node.importKind === 'type' ? 'type' : 'value', node.source.value, node.start),
    ExportAllDeclaration: (node) =>
      note(node.exportKind === 'type' ? 'type' : 'value', node.source.value, node.start),
    ExportNamedDeclaration: (node) =>
      note(node.exportKind === 'type' ? 'type' : 'value', node.source?.value, node.start),
    ImportExpression: (node) => {
      if (node.source.type === 'Literal') note('value', node.source.value, node.start)
    },
    TSImportType: (node) => note('type', node.source.value, node.start),
    NewExpression: (node) => {
      const [first] = node.arguments
      const isUrl = node.callee.type === 'Identifier' && node.callee.name === 'URL'
      if (isUrl && first?.type === 'Literal' && String(first.value).endsWith('.ts'))
        note('reference', first.value, node.start)
    },
  })
  return { path, text, imports, walk, lineAt }
}

function lineStarts(text: string): number[] {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return starts
}
