import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import test from 'ava'
import { runTranscript } from './transcript.ts'

const folder = new URL('.', import.meta.url)
const names = readdirSync(folder).filter((name) => name.endsWith('.txt'))
/** HAKIRI_REWRITE=1 writes what the core does now; the difference is for a person to read. */
const isRewriting = process.env['HAKIRI_REWRITE'] === '1' || process.argv.includes('--rewrite')

for (const name of names) {
  test(`${name.replace('.txt', '').replaceAll('-', ' ')} goes as it is written`, (t) => {
    const text = readFileSync(new URL(name, folder), 'utf8')
    const now = runTranscript(text)
    if (isRewriting) writeFileSync(new URL(name, folder), now)
    t.is(now, isRewriting ? now : text)
  })
}

test('the transcripts are there, and each shows outputs', (t) => {
  t.true(names.length >= 12)
  for (const name of names) t.regex(readFileSync(new URL(name, folder), 'utf8'), /\n----\n/, name)
})

test('a transcript that tells another story is found out', (t) => {
  const told = 'cluster 1 2 3\ncampaign 1\nsettle\n----\n1 is leader in term 3\n'
  t.not(runTranscript(told), told)
  t.is(runTranscript(runTranscript(told)), runTranscript(told))
})
