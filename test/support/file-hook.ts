/** Loaded into the process of each test file before it: notes its begin and, with what it took, its end. */
import test from 'ava'
import { appendFileSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { NOTES_VARIABLE, type FileNote } from './file-notes.ts'

const notes = process.env[NOTES_VARIABLE]
if (notes !== undefined) {
  const file = relative(process.cwd(), fileURLToPath(test.meta.file))
  const add = (note: FileNote): void => appendFileSync(notes, `${JSON.stringify(note)}\n`)
  add({ file, what: 'began' })
  process.once('exit', () => {
    const { user, system } = process.cpuUsage()
    add({ file, what: 'ended', wallMs: performance.now(), cpuMs: (user + system) / 1000 })
  })
}
