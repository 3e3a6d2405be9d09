/** Reading TOML and JSON with places, what random damage does to a manifest, and nearest words. */
import test from 'ava'
import fc from 'fast-check'
import { loadFiles } from '../test/support/manifest-files.ts'
import { createDocumentBuilder } from './document.ts'
import { readJson } from './read-json.ts'
import { readToml } from './read-toml.ts'
import { projectFiles } from './template.ts'
import { editDistance, nearest } from './words.ts'

// ── Reading ─────────────────────────────────────────────────────────────────────────────────────────

test('dotted keys, headers and lists of tables build the same data, each with its place', (t) => {
  const read = readToml('x.toml', 'a.b.c = 1\n[[l]]\nx = 1\n[[l]]\nx = 2\n[l.sub]\ny = 3\n')
  t.true(read.ok)
  if (!read.ok) return
  const { document } = read
  t.deepEqual(document.value, { a: { b: { c: 1 } }, l: [{ x: 1 }, { x: 2, sub: { y: 3 } }] })
  t.deepEqual(document.keyAt(['a', 'b', 'c']), { line: 1, column: 5 })
  t.deepEqual(document.valueAt(['l', 1, 'sub', 'y']), { line: 7, column: 5 })
  t.deepEqual(document.valueAt(['l', 1, 'nothing']), { line: 4, column: 3 })
})

test('any JSON text is read as JSON.parse reads it, or refused as it refuses it', (t) => {
  const spaced = fc.tuple(
    fc.dictionary(fc.string(), fc.jsonValue()),
    fc.integer({ min: 0, max: 3 }),
  )
  fc.assert(
    fc.property(spaced, ([value, indent]) => {
      const text = JSON.stringify(value, null, indent)
      const read = readJson('x.json', text)
      const parsed = JSON.parse(text) as unknown
      if (!read.ok || read.problems.length > 0) return // Reserved names and huge numbers.
      t.deepEqual(JSON.parse(JSON.stringify(read.document.value)), parsed)
    }),
  )
  const broken = fc.tuple(fc.json(), fc.nat(), fc.constantFrom(...Array.from('{}[],:"\\0-e. tn\n')))
  fc.assert(
    fc.property(broken, ([json, at, char]) => {
      const text = `{"a":${json}}`
      const index = at % (text.length + 1)
      const mutated = text.slice(0, index) + char + text.slice(index + 1)
      const read = readJson('x.json', mutated)
      const isFine = parses(mutated)
      const isTwice = !read.ok && /twice/.test(read.problems[0]?.message ?? '')
      t.true(isTwice || read.ok === isFine, mutated)
    }),
  )
})

function parses(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

test('JSON is refused where it is nested beyond reason, not with a crash', (t) => {
  const read = readJson('x.json', `{"a":${'['.repeat(100_000)}`)
  t.false(read.ok)
  if (!read.ok) t.regex(read.problems[0]?.message ?? '', /nested too deeply/)
})

test('a missing place is answered with the nearest one that exists', (t) => {
  const read = createDocumentBuilder('x').finish()
  t.true(read.ok)
  if (read.ok) t.deepEqual(read.document.keyAt(['a', 'b']), { line: 1, column: 1 })
})

// ── Damage ──────────────────────────────────────────────────────────────────────────────────────────

const WHOLE = projectFiles()['hakiri.toml']!.replaceAll(/^#(?=[a-z[])/gm, '')
const TOKENS = [
  '"',
  "'",
  '[',
  ']',
  '{',
  '}',
  '=',
  '.',
  ',',
  '#',
  '\n',
  '1',
  'true',
  '\u0000',
  'inf',
  '-',
  '""',
  '[]',
  '{}',
  '1979-05-27',
]

const damage = fc.record({
  at: fc.nat({ max: WHOLE.length }),
  cut: fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 60 })),
  add: fc.oneof(fc.constantFrom(...TOKENS), fc.string({ maxLength: 4 }), fc.constant('')),
})

test('no damage to a manifest makes loading throw; a problem always has a place', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 4 }), async (all) => {
      const text = all.reduce(
        (rest, { at, cut, add }) => rest.slice(0, at) + add + rest.slice(at + cut),
        WHOLE,
      )
      const { folder, result } = await loadFiles({ 'hakiri.toml': text })
      if (result.ok) return
      t.true(result.problems.length > 0)
      const lines = text.split('\n').length
      for (const problem of result.problems) {
        t.is(problem.file, `${folder}/hakiri.toml`)
        t.true(problem.line >= 1 && problem.line <= lines, JSON.stringify(problem))
        t.true(problem.column >= 1 && problem.message.length > 0)
      }
    }),
    { numRuns: 400 },
  )
})

test('a value of any type at any key of a manifest is a problem or fine, never a crash', async (t) => {
  const values = [
    '1',
    '-1',
    '1.5',
    'inf',
    'nan',
    'true',
    '""',
    '"x"',
    '[]',
    '[1]',
    '[[]]',
    '{}',
    '{ a = 1 }',
    '2024-01-01',
  ]
  const lines = WHOLE.split('\n')
  const keyed = lines.flatMap((line, index) => (/^[a-z_]+ = /.test(line) ? [index] : []))
  t.true(keyed.length > 40)
  for (const index of keyed) {
    for (const value of values) {
      const changed = lines.with(index, lines[index]!.replace(/ = .*/, ` = ${value}`))
      const { result } = await loadFiles({ 'hakiri.toml': changed.join('\n') })
      t.true(result.ok || result.problems.every(({ message }) => message !== ''))
    }
  }
})

// ── Words ───────────────────────────────────────────────────────────────────────────────────────────

test('distance counts inserted, lost, changed and swapped letters', (t) => {
  t.is(editDistance('', 'abc'), 3)
  t.is(editDistance('table', 'tabel'), 1)
  t.is(editDistance('kitten', 'sitting'), 3)
  fc.assert(
    fc.property(fc.string({ maxLength: 20 }), fc.string({ maxLength: 20 }), (a, b) => {
      t.is(editDistance(a, b), editDistance(b, a))
      t.is(editDistance(a, b) === 0, a === b)
    }),
  )
})

test('a word is nearest only to what a slip could have made of it', (t) => {
  t.is(nearest('colums', ['columns', 'types']), 'columns')
  t.is(nearest('zzz', ['columns', 'types']), undefined)
  t.is(nearest('MODE', ['mode']), 'mode')
})
