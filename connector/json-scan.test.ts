import test from 'ava'
import fc from 'fast-check'
import { DEPTH_MAX } from './json-grammar.ts'
import {
  enterRecords,
  hasLoneSurrogate,
  joinLines,
  parsePointer,
  scanDocument,
  scanFields,
  scanList,
  type ListState,
} from './json-scan.ts'

const utf8 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'utf8'))
const textOf = (bytes: Uint8Array, start: number, end: number): string =>
  Buffer.from(bytes.subarray(start, end)).toString('utf8')

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function recordTexts(text: string, pointer: string): readonly string[] | string {
  const bytes = utf8(text)
  const scan = scanDocument(bytes, parsePointer(pointer)!, [])
  if (scan.kind === 'invalid') return 'invalid'
  if (!('bounds' in scan.records)) return scan.records.kind
  const texts: string[] = []
  for (let i = 0; i < scan.records.bounds.length; i += 2)
    texts.push(textOf(bytes, scan.records.bounds[i]!, scan.records.bounds[i + 1]!))
  return texts
}

const spaced = (value: unknown, indent: number): string => JSON.stringify(value, null, indent)

test('elements of any list are found where JSON.parse sees them, at any pointer', (t) => {
  const scenario = fc.record({
    items: fc.array(fc.jsonValue({ maxDepth: 3 }), { maxLength: 8 }),
    path: fc.array(fc.oneof(fc.string({ maxLength: 3 }), fc.constantFrom('a/b', 'm~n', 'é', '"')), {
      maxLength: 3,
    }),
    other: fc.jsonValue({ maxDepth: 2 }),
    indent: fc.integer({ min: 0, max: 2 }),
  })
  fc.assert(
    fc.property(scenario, ({ items, path, other, indent }) => {
      let document: unknown = items
      for (const key of path.toReversed())
        document =
          key === '__proto__' ? [document] : { before: other, [key]: document, after: other }
      const tokens = path.map((key) => (key === '__proto__' ? '0' : key))
      const pointer = tokens
        .map((token) => '/' + token.replaceAll('~', '~0').replaceAll('/', '~1'))
        .join('')
      if (path.includes('before') || path.includes('after')) return
      const found = recordTexts(spaced(document, indent), pointer)
      t.true(Array.isArray(found))
      const values = (found as string[]).map((text): unknown => JSON.parse(text))
      t.deepEqual(values, JSON.parse(JSON.stringify(items)))
    }),
    { numRuns: 500 },
  )
})

test('a text is accepted exactly when JSON.parse accepts it', (t) => {
  const seeds = [
    '{"a":[1,-2.5e+3,"\\u00e9\\n",true,false,null],"b":{}}',
    '[0]',
    '""',
    '-0.1E5',
    ' [ ] ',
  ]
  const mutation = fc.record({
    seed: fc.constantFrom(...seeds),
    at: fc.nat(60),
    cut: fc.nat(3),
    put: fc.oneof(
      fc.constantFrom(
        '',
        ',',
        '"',
        '\\',
        '0',
        '-',
        '.',
        'e',
        '}',
        ']',
        '{',
        '[',
        ':',
        'u',
        '\n',
        't',
        '\u0001',
        '+',
      ),
      fc.string({ maxLength: 2 }),
    ),
  })
  fc.assert(
    fc.property(mutation, ({ seed, at, cut, put }) => {
      const text = seed.slice(0, at) + put + seed.slice(at + cut)
      const scan = scanDocument(utf8(text), [], [])
      t.is(scan.kind === 'valid', parses(text), JSON.stringify(text))
    }),
    { numRuns: 5_000 },
  )
})

test('a list cut into windows at any place gives the same elements as the whole', (t) => {
  const scenario = fc.record({
    items: fc.array(fc.jsonValue({ maxDepth: 2 }), { maxLength: 10 }),
    window: fc.integer({ min: 1, max: 30 }),
    indent: fc.integer({ min: 0, max: 1 }),
  })
  fc.assert(
    fc.property(scenario, ({ items, window, indent }) => {
      const bytes = utf8(spaced(items, indent))
      const entry = enterRecords(bytes, bytes.length, [], true)
      t.is(entry.kind, 'list')
      const texts: string[] = []
      let at = 1
      let state: ListState = 'first'
      for (let end = Math.min(window, bytes.length); ; end = Math.min(end + window, bytes.length)) {
        const scan = scanList(bytes, at, end, state)
        t.is(scan.invalid, undefined)
        for (let i = 0; i < scan.bounds.length; i += 2)
          texts.push(textOf(bytes, scan.bounds[i]!, scan.bounds[i + 1]!))
        at = scan.consumed
        state = scan.state
        if (end === bytes.length) break
      }
      t.is(state, 'closed')
      t.deepEqual(
        texts.map((text): unknown => JSON.parse(text)),
        JSON.parse(JSON.stringify(items)),
      )
    }),
    { numRuns: 500 },
  )
})

test('numbers keep every digit and other values are told apart', (t) => {
  t.deepEqual(recordTexts('{"r":[12345678901234567890123.450e-1, {"a": 1}]}', '/r'), [
    '12345678901234567890123.450e-1',
    '{"a": 1}',
  ])
  t.deepEqual(recordTexts('{"r":{"a":1}}', '/r'), ['{"a":1}'])
  t.is(recordTexts('{"r":null}', '/r'), 'null')
  t.is(recordTexts('{"r":5}', '/r'), 'scalar')
  t.is(recordTexts('{"q":5}', '/r'), 'missing')
  t.is(recordTexts('{"r":[1}', '/r'), 'invalid')
  t.deepEqual(recordTexts('{"r":[1],"r":[2,3]}', '/r'), ['2', '3'], 'the last of equal keys counts')
  t.deepEqual(recordTexts('[[1],[2,3]]', '/1'), ['2', '3'])
})

test('values beside the records are found in the same pass', (t) => {
  const bytes = utf8('{"next":{"cursor":"a\\/b"},"items":[{"next":1}],"n":[5,6]}')
  const scan = scanDocument(bytes, ['items'], [['next', 'cursor'], ['n', '1'], ['gone']])
  t.is(scan.kind, 'valid')
  if (scan.kind !== 'valid') return
  const texts = scan.values.map((slice) => slice && textOf(bytes, slice.start, slice.end))
  t.deepEqual(texts, ['"a\\/b"', '6', undefined])
})

test('top-level fields of a record are found by name, escaped or not', (t) => {
  const bytes = utf8(' { "a" : {"b":1} , "b":2, "\\u0063": "x" , "a":3}')
  const fields = scanFields(bytes, 1, bytes.length, ['b', 'c', 'a', 'd'])
  t.deepEqual(
    fields.map((slice) => slice && textOf(bytes, slice.start, slice.end)),
    ['2', '"x"', '3', undefined],
  )
})

test('an unfinished prefix asks for more, and a finished one is refused', (t) => {
  const bytes = utf8('{"a":1,"records":[{')
  for (let end = 0; end < 17; end++)
    t.is(enterRecords(bytes, end, ['records'], false).kind, 'more', String(end))
  t.deepEqual(enterRecords(bytes, bytes.length, ['records'], false), { kind: 'list', at: 18 })
  t.is(enterRecords(bytes, 10, ['records'], true).kind, 'invalid')
  t.is(enterRecords(utf8('{"a":1}'), 7, ['records'], true).kind, 'missing')
})

test('nesting has a limit instead of overflowing the stack', (t) => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
  t.is(scanDocument(utf8(nested(DEPTH_MAX)), ['x'], []).kind, 'valid')
  t.is(scanDocument(utf8(nested(DEPTH_MAX + 1)), ['x'], []).kind, 'invalid')
  t.is(scanDocument(utf8(nested(1_000_000)), [], []).kind, 'invalid')
})

test('line breaks between tokens become spaces and nothing else changes', (t) => {
  const bytes = utf8('{\r\n "a": "x\\n",\n "b": 1\r}\n')
  joinLines(bytes, 0, bytes.length - 1)
  t.is(textOf(bytes, 0, bytes.length), '{   "a": "x\\n",  "b": 1 }\n')
})

test('half of a surrogate pair is noticed, a whole pair and an escaped backslash are not', (t) => {
  const lone = (text: string): boolean => hasLoneSurrogate(utf8(text), 0, text.length)
  t.true(lone('{"a":"\\ud800"}'))
  t.true(lone('{"a":"\\uDC00\\ud83d"}'))
  t.true(lone('{"a":"\\ud83d\\ude00\\ude00"}'))
  t.false(lone('{"a":"\\ud83d\\ude00 \\\\ud800"}'))
})

test('a pointer is parsed by its standard or refused', (t) => {
  t.deepEqual(parsePointer('/a~1b/m~0n/'), ['a/b', 'm~n', ''])
  t.deepEqual(parsePointer(''), [])
  t.is(parsePointer('a'), undefined)
  t.is(parsePointer('/~2'), undefined)
})
