/**
 * Bad input. bad-input.txt holds one mistake a case: the files, then the code, place and words that it
 * must be answered with, to the letter. What text cannot hold (bytes, sizes) stands here.
 */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { LAKE, loadFiles, type Files } from '../test/support/manifest-files.ts'
import type { LoadResult } from './load.ts'

type Case = { readonly title: string; readonly files: Files; readonly answer: string }

/** `=== title`, hakiri.toml, any `@@ path` with its text, `--- answer`. */
function parseCases(text: string): Case[] {
  return text
    .split(/^=== /m)
    .slice(1)
    .map((block) => {
      const [, title, body, answer] = /^(.*)\n([\s\S]*?)^--- ([\s\S]*)$/m.exec(block) ?? []
      if (title === undefined || body === undefined || answer === undefined) throw new Error(block)
      const [main = '', ...others] = body.split(/^@@ /m)
      const named = others.map((other) => {
        const end = other.indexOf('\n')
        return [other.slice(0, end), other.slice(end + 1)] as const
      })
      return {
        title,
        files: { 'hakiri.toml': main, ...Object.fromEntries(named) },
        answer: answer.trim(),
      }
    })
}

function answerOf(result: LoadResult, folder: string): string {
  if (result.ok) return 'no problem'
  const texts = result.problems.map(({ code, file, line, column, key, message, suggestion }) => {
    const place = `${file.slice(folder.length + 1)}:${line}:${column}${key === '' ? '' : ` ${key}`}`
    const advice = suggestion === undefined ? '' : `\n→ ${suggestion}`
    return `${code} ${place}\n${message.replaceAll(folder, '<folder>')}${advice}`
  })
  return texts.join('\n\n')
}

const CASES = parseCases(readFileSync(new URL('bad-input.txt', import.meta.url), 'utf8'))

for (const { title, files, answer } of CASES) {
  test(`refused, once, with place and advice: ${title}`, async (t) => {
    const { folder, result } = await loadFiles(files)
    const given = answerOf(result, folder)
    t.is(given, answer)
    t.false(given.includes('hunter22'), 'a secret is repeated')
  })
}

test('the table of bad input is as long as it was meant to be', (t) => {
  t.true(CASES.length >= 90, `${CASES.length} cases`)
  t.is(new Set(CASES.map(({ title }) => title)).size, CASES.length)
})

const UNTOLD: readonly Case[] = [
  {
    title: 'the file is not UTF-8',
    files: { 'hakiri.toml': new Uint8Array([0x76, 0xff, 0xfe]) },
    answer: 'CONFIG_SYNTAX hakiri.toml:1:1\nthe file is not valid UTF-8\n→ Save it as UTF-8.',
  },
  {
    title: 'there is no file',
    files: { 'other.txt': '' },
    answer:
      'CONFIG_NOT_FOUND hakiri.toml:1:1\nthere is no such file\n' +
      '→ Run `hakiri init`, or name the file with --config.',
  },
  {
    title: 'hakiri.toml is a folder',
    files: { 'hakiri.toml/x': '' },
    answer:
      'CONFIG_NOT_FOUND hakiri.toml:1:1\nthe file cannot be read (EISDIR)\n' +
      '→ Run `hakiri init`, or name the file with --config.',
  },
  {
    title: 'the file is enormous',
    files: { 'hakiri.toml': '#'.repeat(4_000_001) },
    answer:
      'CONFIG_INVALID hakiri.toml:1:1\nthe file is too large for a configuration (more than 4 MB)\n' +
      '→ Split it into pipelines/NAME.toml files.',
  },
]

for (const { title, files, answer } of UNTOLD) {
  test(`refused: ${title}`, async (t) => {
    const { folder, result } = await loadFiles(files)
    t.is(answerOf(result, folder), answer)
  })
}

for (const deep of ['['.repeat(50_000), `${'['.repeat(5_000)}${']'.repeat(5_000)}`]) {
  test(`refused, not a crash: ${deep.length} brackets`, async (t) => {
    const { folder, result } = await loadFiles({ 'hakiri.toml': `a = ${deep}` })
    t.regex(answerOf(result, folder), /^CONFIG_(SYNTAX|UNKNOWN_KEY) hakiri\.toml:1/)
  })
}

test('all problems of all files come at once, in reading order', async (t) => {
  const { folder, result } = await loadFiles({
    'hakiri.toml': `verzion = 1
[destination.lake]
type = "fil"
url = "lake"
[pipelines.a]
source = { type = "postgres", url = "env:DB", tabels = ["x"] }
destination = "lkae"
write = { lag = "10m" }
[pipelines.b]
mode = 3
sauce = {}`,
    'pipelines/c.json': '{\n"source": {"type": "file", "paths": []},\n"memory": "lots"\n}',
  })
  const places = answerOf(result, folder).match(/^CONFIG_.*$/gm)
  t.deepEqual(places, [
    'CONFIG_UNKNOWN_KEY hakiri.toml:1:1 verzion',
    'CONFIG_INVALID hakiri.toml:3:8 destination.lake.type',
    'CONFIG_UNKNOWN_KEY hakiri.toml:6:47 pipelines.a.source.tabels',
    'CONFIG_INVALID hakiri.toml:7:15 pipelines.a.destination',
    'CONFIG_INVALID hakiri.toml:8:17 pipelines.a.write.lag',
    'CONFIG_INVALID hakiri.toml:9:12 pipelines.b.source',
    'CONFIG_INVALID hakiri.toml:10:8 pipelines.b.mode',
    'CONFIG_UNKNOWN_KEY hakiri.toml:11:1 pipelines.b.sauce',
    'CONFIG_INVALID pipelines/c.json:2:37 source.paths',
    'CONFIG_INVALID pipelines/c.json:3:11 memory',
  ])
})

test('a broken destination or [defaults] is not blamed on the pipelines', async (t) => {
  const one = await loadFiles({
    'hakiri.toml': `${LAKE}[defaults]\nmemory = 5\n[pipelines.p]\nsource = { type = "file", paths = ["a"] }\ndestination = "lake"\n`,
  })
  t.deepEqual(one.result.ok ? [] : one.result.problems.map(({ key }) => key), ['defaults.memory'])
  const two = await loadFiles({
    'hakiri.toml': `[destination.lake]\ntype = 1\nurl = "lake"\n[pipelines.p]\nsource = { type = "file", paths = ["a"] }\ndestination = "lake"\n`,
  })
  t.deepEqual(two.result.ok ? [] : two.result.problems.map(({ key }) => key), [
    'destination.lake.type',
  ])
})
