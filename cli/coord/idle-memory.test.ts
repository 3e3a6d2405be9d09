import { readFileSync } from 'node:fs'
import test from 'ava'
import { cleanFileMappings, startIdleMemory } from './idle-memory.ts'

const rssKb = (): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1])

test('only read-only mappings of files without a changed page are dropped', (t) => {
  const block = (head: string, anonymous: number): string =>
    `${head}\nSize: 4 kB\nAnonymous:           ${anonymous} kB\nVmFlags: rd\n`
  const smaps = [
    block('00400000-00500000 r-xp 00000000 fe:00 12                         /bin/node', 0),
    block('00500000-00600000 r--p 00000000 fe:00 12                         /bin/node', 8),
    block('00600000-00700000 rw-p 00000000 fe:00 12                         /bin/node', 0),
    block('00700000-00800000 r--p 00000000 00:00 0 ', 0),
    block('00800000-00900000 r--p 00000000 fe:00 13                         /lib/x (deleted)', 0),
    block('00900000-00a00000 r--s 00000000 fe:00 13                         /lib/y', 0),
    block('7f0000000000-7f0000001000 r--p 00000000 fe:00 14                 /lib/with space', 0),
  ].join('')
  t.deepEqual(cleanFileMappings(smaps), [
    { start: 0x400000n, length: 0x100000n },
    { start: 0x7f0000000000n, length: 0x1000n },
  ])
})

test('a trim lowers what the kernel counts, and the process goes on', (t) => {
  using idle = startIdleMemory()
  let waste: unknown[] | undefined = Array.from({ length: 1_000_000 }, (_, n) => ({ n }))
  t.is(waste.length, 1_000_000)
  const before = rssKb()
  waste = undefined
  idle.trim()
  const after = rssKb()
  t.true(after < before - 10_000, `${before} kB before, ${after} kB after`)
  t.deepEqual(JSON.parse('{"a":[1]}'), { a: [1] })
})
