/**
 * The house rules, held against every file of the repository, and each rule held against a planted
 * breach of itself.
 */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { checkAmbient, checkAny, checkHead, checkSizes, checkTests } from './support/tidy-code.ts'
import type { Edge, Sleeper } from './support/tidy-code.ts'
import {
  FOLDERS,
  SHARED_PACKAGES,
  TYPE_EXCEPTIONS,
  checkCycles,
  checkDeadFiles,
  checkImportTable,
  checkPackageHomes,
} from './support/tidy-imports.ts'
import { isProduct, parseSource, readRepository } from './support/tidy-source.ts'
import type { Breach, SourceFile, TextFile } from './support/tidy-source.ts'
import { checkForeignWords, checkHeadings, checkMarkers } from './support/tidy-text.ts'

/** Product files outside lib/system and cli that touch something ambient, and why they may. */
const EDGES: readonly Edge[] = []

/** Files that no other source imports, by intent: scripts, and what generated code stands on. */
const KEPT: readonly string[] = [
  'proto/wire.ts',
  'test/simulation/planted.ts',
  // The bundler starts at the first two, and puts one of the others in the place of cli/commands.ts.
  'cli/artifact/main.ts',
  'cli/artifact/rest.ts',
  'cli/profiles/coord.ts',
  'cli/profiles/core.ts',
  'bench/baseline-copy.ts',
  'bench/baseline-keyset.ts',
  'bench/baseline-ndjson.ts',
]

const SLEEPERS: readonly Sleeper[] = [
  { path: 'test/cluster/ctl.ts', why: 'asks real members until they have caught up' },
  { path: 'test/cluster/rounds.ts', why: 'holds a fault for as long as chance says' },
  { path: 'test/support/coord-cluster.ts', why: 'asks real processes until they are ready' },
  { path: 'test/support/until.ts', why: 'asks real processes until something is so' },
  { path: 'test/support/rgw.ts', why: 'a foreign server that does not say when it is ready' },
  { path: 'test/support/s3-stub.ts', why: 'slowness is the fault that it plays' },
  { path: 'test/support/http-source.ts', why: 'latency is what it plays' },
  {
    path: 'test/chaos/cast/kept.ts',
    why: 'starts a process again as late as a service manager does',
  },
  { path: 'test/chaos/checks.ts', why: 'asks real members until they have caught up' },
  { path: 'test/chaos/faults/drive.ts', why: 'holds a fault for as long as the plan says' },
  { path: 'test/chaos/faults/machines.ts', why: 'leaves a sick process the time to end' },
  { path: 'test/chaos/faults/members.ts', why: 'asks real members until they have caught up' },
  { path: 'test/chaos/faults/processes.ts', why: 'holds a fault for as long as the plan says' },
  { path: 'test/chaos/faults/services.ts', why: 'plays a fault again and again' },
  { path: 'test/chaos/run.ts', why: 'lets the phases of a run last as long as they are meant to' },
  { path: 'test/deploy/writer.ts', why: 'writes at a pace' },
  { path: 'test/deploy/scenarios/faults.ts', why: 'holds a fault for as long as it says' },
]

const repository = readRepository()
const sources = repository
  .filter(({ path }) => path.endsWith('.ts') && !path.includes('/gen/'))
  .map(parseSource)

function holds(t: ExecutionContext, breaches: readonly Breach[]): void {
  const text = breaches.map(({ path, line, message }) => `${path}:${line} ${message}`).join('\n')
  t.is(text, '')
}

test('there is something to hold the rules against', (t) => {
  t.true(sources.filter(({ path }) => isProduct(path)).length > 20)
})

test('imports follow the table', (t) => holds(t, checkImportTable(sources)))
test('each package is imported from one folder', (t) => holds(t, checkPackageHomes(sources)))
test('no import cycle', (t) => holds(t, checkCycles(sources)))
test('no dead file', (t) => holds(t, checkDeadFiles(sources, repository, KEPT)))
test('no ambient state inside', (t) => holds(t, checkAmbient(sources, EDGES)))
test('no any', (t) => holds(t, sources.flatMap(checkAny)))
test('files and functions stay small', (t) => holds(t, sources.flatMap(checkSizes)))
test('every test runs, and none sleeps', (t) =>
  holds(
    t,
    sources.flatMap((file) => checkTests(file, SLEEPERS)),
  ))
test('each file says what it is for', (t) => holds(t, sources.flatMap(checkHead)))
test('no marker of unfinished work', (t) => holds(t, repository.flatMap(checkMarkers)))
test('no foreign words', (t) => holds(t, repository.flatMap(checkForeignWords)))
test('each page has one title', (t) => holds(t, repository.flatMap(checkHeadings)))

test('exceptions name files that exist and still need them', (t) => {
  const paths = new Set(repository.map(({ path }) => path))
  for (const [from, to] of TYPE_EXCEPTIONS) {
    const file = sources.find(({ path }) => path === from)
    t.true(
      file?.imports.some(({ target }) => target === to),
      `${from} → ${to}`,
    )
  }
  for (const path of [...KEPT, ...SLEEPERS.map((sleeper) => sleeper.path)])
    t.true(paths.has(path), path)
  for (const [name, folders] of SHARED_PACKAGES)
    for (const folder of folders)
      t.true(
        sources.some(
          ({ path, imports }) =>
            path.startsWith(`${folder}/`) && imports.some(({ specifier }) => specifier === name),
        ),
        `${name} in ${folder}`,
      )
})

// ── Each rule against a planted breach ────────────────────────────────────────────────────────────

const source = (path: string, text: string): SourceFile => parseSource({ path, text })
const messages = (breaches: readonly Breach[]): string =>
  breaches.map(({ path, line, message }) => `${path}:${line} ${message}`).join('\n')

test('the import table finds each forbidden direction', (t) => {
  const cases: readonly (readonly [path: string, text: string, expected: RegExp | undefined])[] = [
    ['lib/a.ts', `import { x } from 'node:fs'`, /pure, yet imports node:fs/],
    ['lib/a.ts', `import { x } from './system/clock.ts'`, /imports lib\/system\/clock/],
    [
      'lib/a.ts',
      `import type { X } from '../catalog/catalog.ts'`,
      /may not import types of catalog/,
    ],
    ['lib/a.ts', `import { x } from './b.ts'`, undefined],
    ['sink/plan/a.ts', `import { x } from 'pg'`, /pure, yet imports pg/],
    [
      'sink/plan/a.ts',
      `import { x } from '../../lib/system/fs.ts'`,
      /pure, yet imports lib\/system/,
    ],
    ['sink/plan/a.ts', `import { x } from '../../catalog/catalog.ts'`, /may not import catalog/],
    ['sink/plan/a.ts', `import type { X } from '../../catalog/catalog.ts'`, undefined],
    ['sink/plan/a.ts', `export { x } from '../store/folder.ts'`, /may not import sink\/store/],
    ['sink/store/a.ts', `import { x } from '../plan/b.ts'`, undefined],
    ['sink/store/a.ts', `type X = import('../../catalog/catalog.ts').X`, /types of catalog/],
    ['catalog/a.ts', `const x = await import('../sink/store/s3.ts')`, /may not import sink/],
    ['catalog/a.ts', `new URL('../sink/child.ts', import.meta.url)`, /may not import sink/],
    ['connector/a.ts', `import { x } from '../cli/main.ts'`, /may not import cli/],
    ['worker/a.ts', `import { x } from '../connector/b.ts'`, undefined],
    ['worker/a.ts', `import { x } from '../lib/system/clock.ts'`, /take it as a parameter/],
    ['worker/a.ts', `import { x } from '../test/support/delta-reader.ts'`, /no product/],
    ['cli/a.ts', `import { x } from '../test/support/delta-reader.ts'`, /test file/],
    ['cli/a.ts', `import { x } from '../worker/b.ts'`, undefined],
    ['lease/a.ts', `import { x } from 'level'`, /may not import the package level/],
    ['coord/raft/a.ts', `import { x } from '../wal/b.ts'`, /may not import coord\/wal/],
    ['elsewhere/a.ts', `export const x = 1`, /without an import row/],
  ]
  for (const [path, text, expected] of cases) {
    const found = messages(checkImportTable([source(path, text)]))
    if (expected) t.regex(found, expected, `${path}: ${text}`)
    else t.is(found, '', `${path}: ${text}`)
  }
  t.is(new Set(FOLDERS.map(({ folder }) => folder)).size, FOLDERS.length)
})

test('a package with two homes is found, unless it is shared by name', (t) => {
  const files = [
    source('catalog/a.ts', `import pg from 'pg'`),
    source('connector/b.ts', `import type { X } from 'pg/lib/x.js'`),
    source('test/c.ts', `import pg from 'pg'`),
  ]
  t.regex(
    messages(checkPackageHomes(files, [])),
    /^connector\/b.ts:1 imports pg, whose home is catalog$/,
  )
  t.deepEqual(checkPackageHomes(files, [['pg', ['catalog', 'connector'], 'two sides']]), [])
})

test('a cycle is found, through types too', (t) => {
  const files = [
    source('lib/a.ts', `import { b } from './b.ts'`),
    source('lib/b.ts', `import type { C } from './c.ts'`),
    source('lib/c.ts', `export * from './a.ts'`),
  ]
  t.regex(messages(checkCycles(files)), /lib\/a.ts → lib\/b.ts → lib\/c.ts → lib\/a.ts/)
  t.deepEqual(checkCycles(files.slice(0, 2)), [])
})

test('dead files are found; entries, children and test files are not dead', (t) => {
  const files = [
    source(
      'cli/main.ts',
      `import '../lib/used.ts'; new URL('./child.ts', import.meta.url); join(here, 'other.ts')`,
    ),
    source('cli/child.ts', ``),
    source('cli/other.ts', ``),
    source('lib/used.ts', ``),
    source('lib/dead.ts', ``),
    source('lib/tested.ts', ``),
    source('lib/tested.test.ts', `import './tested.ts'`),
  ]
  const launcher: TextFile = { path: 'hakiri', text: 'exec node cli/main.ts' }
  t.is(
    messages(checkDeadFiles(files, [launcher])),
    'lib/dead.ts:1 is imported by nobody\nlib/tested.ts:1 is used by tests only (lib/tested.test.ts)',
  )
  t.deepEqual(checkDeadFiles(files, [launcher], ['lib/dead.ts', 'lib/tested.ts']), [])
})

test('each ambient access is found inside, and none at the edges', (t) => {
  const uses = [
    ['Date.now()', 'Date.now'],
    ['new Date()', 'new Date()'],
    ['Date()', 'Date'],
    ['Math.random()', 'Math.random'],
    ['performance.now()', 'performance.now'],
    ['process.env["HOME"]', 'process.env'],
    ['process.exit(1)', 'process.exit'],
    ['console.log(1)', 'console'],
    ['setTimeout(() => 1, 1)', 'setTimeout'],
    ['import { setTimeout as nap } from "node:timers/promises"', 'node:timers/promises'],
    ['import { randomUUID } from "node:crypto"', 'randomUUID'],
  ] as const
  for (const [text, what] of uses) {
    const found = checkAmbient([source('worker/a.ts', text)], [])
    t.is(messages(found), `worker/a.ts:1 uses ${what}`, text)
    for (const path of ['lib/system/a.ts', 'cli/a.ts', 'test/a.ts', 'worker/a.test.ts'])
      t.deepEqual(checkAmbient([source(path, text)], []), [], path)
  }
  t.deepEqual(checkAmbient([source('worker/a.ts', 'new Date(0); clock.now(); my.env')], []), [])
  const edge: Edge = { path: 'worker/a.ts', uses: 'Date.now', why: 'planted' }
  t.deepEqual(checkAmbient([source('worker/a.ts', 'Date.now()')], [edge]), [])
  t.regex(messages(checkAmbient([source('worker/a.ts', '')], [edge])), /does not use it/)
})

test('any is found in every position', (t) => {
  for (const text of ['let a: any', 'const b = 1 as any', 'type C = Record<string, any>'])
    t.is(messages(checkAny(source('lib/a.ts', text))), 'lib/a.ts:1 uses the type any', text)
  t.deepEqual(checkAny(source('lib/a.ts', '// any\nconst any = "any"')), [])
})

test('long files and functions are found', (t) => {
  const long = `export function f(): void {\n${'  f()\n'.repeat(69)}}\n`
  t.regex(messages(checkSizes(source('lib/a.ts', long))), /:1 a function of 71 lines/)
  t.deepEqual(checkSizes(source('lib/a.ts', long.replace('  f()\n', ''))), [])
  const inner = `  const g = () => {\n${'    g()\n'.repeat(60)}  }\n`
  const factory = `export function f(): void {\n${inner.repeat(3)}}\n`
  t.deepEqual(checkSizes(source('lib/a.ts', factory)), [])
  const fat = factory.replace('f(): void {', `f(): void {\n${'  f()\n'.repeat(70)}`)
  t.regex(messages(checkSizes(source('lib/a.ts', fat))), /:1 a function of 76 lines/)
  t.regex(messages(checkSizes(source('lib/a.ts', '//\n'.repeat(501)))), /has 501 lines/)
  t.deepEqual(checkSizes(source('lib/a.ts', '//\n'.repeat(500))), [])
  t.deepEqual(checkSizes(source('lib/a.test.ts', '//\n'.repeat(501))), [])
})

test('tests that are switched off, alone or asleep are found', (t) => {
  const found = (text: string): string => messages(checkTests(source('lib/a.test.ts', text)))
  t.regex(found('test.only("a", (t) => t.pass())'), /test.only/)
  t.regex(found('test.serial.only("a", (t) => t.pass())'), /test.only/)
  t.regex(found('test.skip("a", (t) => t.pass())'), /test.skip/)
  t.regex(found('test.failing("a", (t) => t.pass())'), /test.failing/)
  t.is(found('if (isThere) suite(); else test.skip("a", (t) => t.pass())'), '')
  t.is(found('const maybe = isThere ? test : test.skip; maybe("a", (t) => t.pass())'), '')
  t.regex(found('await sleep(10)'), /sleeps: sleep/)
  t.regex(found('await new Promise((resolve) => setTimeout(resolve, 10))'), /a promise around/)
  t.regex(found('await new Promise<void>((r) => { setTimeout(r, 10) })'), /a promise around/)
  t.is(found('await clock.sleep(10); setTimeout(() => fail("too late"), 1000)'), '')
})

test('a file without a head comment is found', (t) => {
  t.is(checkHead(source('lib/a.ts', 'export const a = 1')).length, 1)
  t.is(checkHead(source('lib/a.test.ts', 'export const a = 1')).length, 0)
  t.is(checkHead(source('lib/a.ts', '/** Says it. */\nexport const a = 1')).length, 0)
})

test('markers, foreign words and stray headings are found', (t) => {
  const file = (text: string, path = 'docs/a.md'): TextFile => ({ path, text })
  t.is(checkMarkers(file(`ok\n// ${'TO' + 'DO'} later`))[0]?.line, 2)
  t.deepEqual(checkMarkers(file('to do later; XXXL')), [])
  for (const text of [
    `https://${'registry.' + 'npmjs'}.org/x`,
    `see ${'/home' + '/me'}/x`,
    `"${'/work' + '/main'}"`,
    `${'sub' + 'agent'}`,
  ])
    t.is(checkForeignWords(file(text)).length, 1, text)
  t.deepEqual(checkForeignWords(file('a/home/page, /rootless, network/worker')), [])
  t.deepEqual(checkHeadings(file('# One\n```\n# not a title\n```\n## Two\n')), [])
  t.regex(messages(checkHeadings(file('# One\n# Two\n'))), /:2 has a second title/)
  t.regex(messages(checkHeadings(file('## Two\n'))), /no title/)
  t.regex(messages(checkHeadings(file('text\n# One\n'))), /text before its title/)
})
