/**
 * Who may import whom: the table of the architecture, and what follows from it. A folder that has
 * no row may hold no source file, so a new folder starts with a decision.
 */
import { isProduct, isTest } from './tidy-source.ts'
import type { Breach, Import, SourceFile, TextFile } from './tidy-source.ts'

export type FolderRow = {
  readonly folder: string
  /** Folders or files whose code it may load; its own subfolders are included. */
  readonly may: readonly string[]
  /** Folders or files of which it may use types only. */
  readonly types?: readonly string[]
  /** Pure: no `node:` module, no package, nothing of lib/system. */
  readonly pure?: true
  /** Packages it may import; absent: any, each from one folder only. */
  readonly packages?: readonly string[]
}

/** The longest folder that contains a file decides. */
export const FOLDERS: readonly FolderRow[] = [
  { folder: 'lib', may: [], pure: true },
  { folder: 'lib/system', may: ['lib'], packages: [] },
  { folder: 'proto', may: ['lib'], packages: ['protobufjs'] },
  { folder: 'proto/gen', may: ['lib', 'proto/wire.ts'], packages: [] },
  { folder: 'coord/raft', may: ['lib'], pure: true },
  { folder: 'coord/kv', may: ['lib'], pure: true },
  { folder: 'coord/wal', may: ['lib'], types: ['coord/raft', 'coord/kv'], packages: [] },
  { folder: 'coord/image', may: ['lib'], types: ['coord/raft', 'coord/kv'], packages: ['level'] },
  {
    folder: 'coord/node',
    may: ['coord/raft', 'coord/kv', 'proto/gen', 'lib'],
    types: ['coord/wal', 'coord/image'],
    packages: [],
  },
  {
    folder: 'coord/server',
    may: ['coord/node', 'coord/kv/refusals.ts', 'proto/gen', 'lib'],
    types: ['coord/raft', 'coord/kv', 'coord/image'],
    packages: ['@grpc/grpc-js'],
  },
  { folder: 'coord/client', may: ['proto/gen', 'lib'], packages: ['@grpc/grpc-js'] },
  {
    folder: 'coord/local',
    may: ['coord/kv', 'coord/client', 'proto/gen', 'lib'],
    packages: [],
  },
  { folder: 'lease', may: ['coord/client', 'lib'], types: ['proto/gen'], packages: [] },
  { folder: 'lease/plan', may: ['lib'], pure: true },
  { folder: 'catalog', may: ['lib'] },
  { folder: 'manifest', may: ['lib'] },
  { folder: 'connector', may: ['lib'] },
  { folder: 'sink', may: ['lib'] },
  { folder: 'sink/plan', may: ['lib'], types: ['catalog/catalog.ts'], pure: true },
  { folder: 'worker', may: ['lease', 'catalog', 'manifest', 'connector', 'sink', 'lib'] },
  { folder: 'worker/run', may: ['lib'], pure: true },
  { folder: 'cli', may: ['*'] },
]

/** Type imports that go beyond the table, by name: a file and what it may know of. */
export const TYPE_EXCEPTIONS: readonly (readonly [from: string, to: string, why: string])[] = [
  ['sink/encoder/encoder.ts', 'catalog/catalog.ts', 'an encoded file is what the catalog records'],
]

/** Packages that two folders need, because neither may import the other. */
export const SHARED_PACKAGES: readonly (readonly [
  name: string,
  folders: readonly string[],
  why: string,
])[] = [
  ['@grpc/grpc-js', ['coord/server', 'coord/client'], 'both ends of the wire'],
  ['valibot', ['manifest', 'worker/http'], 'both check what comes from outside'],
  [
    '@valibot/to-json-schema',
    ['manifest', 'worker/http'],
    'both publish the schema that they check',
  ],
  ['pg', ['catalog', 'connector/builtin/postgres'], 'a catalog and a source'],
  [
    '@duckdb/node-api',
    ['sink/encoder', 'sink/query'],
    'a child that writes and a prompt that asks',
  ],
]

/** The real clock, dice and log are handed in from the top, never fetched. */
const COMPOSITION_ONLY = ['lib/system/clock.ts', 'lib/system/log.ts']

export function rowOf(path: string, rows = FOLDERS): FolderRow | undefined {
  return rows
    .filter(({ folder }) => path.startsWith(`${folder}/`))
    .toSorted((a, b) => b.folder.length - a.folder.length)[0]
}

/** Breaches of the table. */
export function checkImportTable(files: readonly SourceFile[]): Breach[] {
  return files.filter(({ path }) => isProduct(path)).flatMap(checkFile)
}

function checkFile(file: SourceFile): Breach[] {
  const row = rowOf(file.path)
  if (!row) return [{ path: file.path, line: 1, message: 'lies in a folder without an import row' }]
  return file.imports.flatMap((item) => {
    const reason = item.target ? localReason(file.path, row, item) : packageReason(row, item)
    return reason ? [{ path: file.path, line: item.line, message: reason }] : []
  })
}

function localReason(from: string, row: FolderRow, item: Import): string | undefined {
  const target = item.target ?? ''
  if (row.may.includes('*')) return isTest(target) ? `imports the test file ${target}` : undefined
  if (isTest(target) || target.startsWith('bench/')) return `imports ${target}, which is no product`
  if (COMPOSITION_ONLY.includes(target) && !from.startsWith('lib/system/') && item.kind !== 'type')
    return `imports ${target}; take it as a parameter`
  if (row.pure && target.startsWith('lib/system/') && item.kind !== 'type')
    return `is pure, yet imports ${target}`
  if (isWithin(target, row.folder) && !(row.folder === 'lib' && target.startsWith('lib/system/')))
    return undefined
  if (row.may.some((allowed) => isWithin(target, allowed))) return undefined
  if (item.kind === 'type' && isAllowedType(from, row, target)) return undefined
  return `may not import ${item.kind === 'type' ? 'types of ' : ''}${target} (folder ${row.folder})`
}

function isAllowedType(from: string, row: FolderRow, target: string): boolean {
  return (
    (row.types ?? []).some((allowed) => isWithin(target, allowed)) ||
    TYPE_EXCEPTIONS.some(([file, allowed]) => file === from && allowed === target)
  )
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`)
}

function packageReason(row: FolderRow, { specifier }: Import): string | undefined {
  if (row.pure) return `is pure, yet imports ${specifier}`
  if (specifier.startsWith('node:') || !row.packages) return undefined
  return row.packages.includes(packageName(specifier))
    ? undefined
    : `may not import the package ${specifier} (folder ${row.folder})`
}

export function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** A third-party package has one home in the product, so that it can be swapped in one place. */
export function checkPackageHomes(
  files: readonly SourceFile[],
  shared = SHARED_PACKAGES,
): Breach[] {
  const homes = new Map<string, Map<string, { path: string; line: number }>>()
  for (const { path, imports } of files) {
    if (!isProduct(path)) continue
    for (const { specifier, target, line } of imports) {
      if (target !== undefined || specifier.startsWith('node:')) continue
      const name = packageName(specifier)
      const folders = homes.get(name) ?? new Map<string, { path: string; line: number }>()
      homes.set(name, folders.set(path.slice(0, path.lastIndexOf('/')), { path, line }))
    }
  }
  return [...homes].flatMap(([name, folders]) => {
    const allowed = shared.find(([known]) => known === name)?.[1] ?? [[...folders.keys()][0]]
    return [...folders]
      .filter(([folder]) => !allowed.includes(folder))
      .map(([, at]) => ({
        ...at,
        message: `imports ${name}, whose home is ${allowed.join(', ')}`,
      }))
  })
}

/** Import cycles, types included: each is reported once, at its first file. */
export function checkCycles(files: readonly SourceFile[]): Breach[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const done = new Set<string>()
  const breaches: Breach[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path)
    if (start >= 0) {
      const cycle = [...trail.slice(start), path].join(' → ')
      breaches.push({ path, line: 1, message: `import cycle: ${cycle}` })
      return
    }
    if (done.has(path)) return
    for (const { target, kind } of byPath.get(path)?.imports ?? [])
      if (target && kind !== 'reference' && byPath.has(target)) visit(target, [...trail, path])
    done.add(path)
  }
  for (const { path } of files) visit(path, [])
  return breaches
}

/**
 * Source files that nothing leads to. An entry point is a file that a script, a configuration or the
 * launcher names by its path; product code that only tests use is dead too.
 */
export function checkDeadFiles(
  files: readonly SourceFile[],
  others: readonly TextFile[],
  kept: readonly string[] = [],
): Breach[] {
  const entries = others
    .filter(({ path }) => /^(package\.json|hakiri|\.ci\/|.*\.config\.js$)/.test(path))
    .map(({ text }) => text)
  const users = new Map<string, string[]>()
  for (const { path, imports } of files)
    for (const { target } of imports)
      if (target && target !== path) users.set(target, [...(users.get(target) ?? []), path])
  return files.flatMap(({ path }) => {
    if (path.endsWith('.test.ts') || kept.includes(path)) return []
    if (entries.some((text) => text.includes(path))) return []
    const by = users.get(path) ?? []
    if (by.length === 0) return [{ path, line: 1, message: 'is imported by nobody' }]
    return isProduct(path) && by.every(isTest)
      ? [{ path, line: 1, message: `is used by tests only (${by.join(', ')})` }]
      : []
  })
}
