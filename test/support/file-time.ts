/** Loaded into the process of each test file before it: notes at its end what the file took, for the runner. */
import test from 'ava'
import { appendFileSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TIMES_VARIABLE } from './slow-files.ts'

const notes = process.env[TIMES_VARIABLE]
if (notes !== undefined)
  process.once('exit', () => {
    const { user, system } = process.cpuUsage()
    const time = {
      file: relative(process.cwd(), fileURLToPath(test.meta.file)),
      wallMs: performance.now(),
      cpuMs: (user + system) / 1000,
    }
    appendFileSync(notes, `${JSON.stringify(time)}\n`)
  })
