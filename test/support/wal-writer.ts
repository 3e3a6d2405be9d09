/**
 * A process that appends entries to the log in its first argument, four at a time, and tells the index
 * of each once it is acknowledged. It ends when the log fails, saying how, or after as many entries as
 * its second argument says.
 */
import { writeSync } from 'node:fs'
import { HakiriError } from '../../lib/error.ts'
import { systemClock as clock } from '../../lib/system/clock.ts'
import { createWal, openWal } from '../../coord/wal/log.ts'
import { entry, IDENTITY, SEGMENT_BYTES, START } from '../conformance/wal-suite.ts'

const AT_ONCE = 4

const [folder = '', count = '0'] = process.argv.slice(2)
const say = (line: string): number => writeSync(1, `${line}\n`)
const options = {
  folder,
  clock,
  segmentBytes: SEGMENT_BYTES,
  observer: { onSync: (durationMs: number) => say(`sync ${Math.round(durationMs)}`) },
}

try {
  const opened = await openWal(options)
  const wal = opened?.wal ?? (await createWal({ ...options, identity: IDENTITY, start: START }))
  let next = (opened?.recovery.entries.at(-1)?.index ?? 0) + 1
  const end = next + Number(count)
  while (next < end) {
    const group = Array.from({ length: AT_ONCE }, () => next++)
    const appended = group.map(async (index) => {
      await wal.append({ entries: [entry(index)] })
      say(`acknowledged ${index}`)
    })
    const failed = (await Promise.allSettled(appended)).find(({ status }) => status === 'rejected')
    if (failed?.status !== 'rejected') continue
    const late = await wal
      .append({ entries: [entry(group[0] ?? 0)] })
      .catch((error: unknown) => error)
    say(`late ${late instanceof HakiriError ? late.code : 'acknowledged'}`)
    throw failed.reason
  }
  await wal.close()
} catch (error) {
  say(`failed ${error instanceof HakiriError ? error.code : String(error)}`)
  process.exitCode = 3
}
