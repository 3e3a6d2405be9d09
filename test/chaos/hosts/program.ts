/**
 * The program that the tests of hosts run; it says what it meets as lines of JSON, again and again:
 *   write FOLDER   writes and syncs a file there: how long that took, how it failed, both clocks
 *   report         who and where it is; ends with code 7 on SIGTERM
 *   parent         the same, with a child that does so too
 *   lab            opens a lab with a host, a program and a mounted disk, and tells its parent
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fdatasyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openDisk } from './disks.ts'
import { openNamespaces } from './namespaces.ts'

const PERIOD_MS = 25
const SELF = fileURLToPath(import.meta.url)
const BLOCK = Buffer.alloc(4_096)

const [mode, folder = ''] = process.argv.slice(2)

const say = (line: object): void => console.log(JSON.stringify(line))

function write(): void {
  const file = openSync(join(folder, 'file'), 'w')
  let at = 0
  setInterval(() => {
    const began = performance.now()
    let code: string | undefined
    try {
      // Each time a new place, so that a full disk has none.
      writeSync(file, BLOCK, 0, BLOCK.length, at++ * BLOCK.length)
      fdatasyncSync(file)
    } catch (error) {
      ;({ code } = error as NodeJS.ErrnoException)
    }
    const ms = performance.now() - began
    say({ ms, code, wall: Date.now(), monotonic: performance.now() })
  }, PERIOD_MS)
}

function report(): void {
  process.once('SIGTERM', () => process.exit(7))
  const ids = { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() }
  setInterval(() => say({ ...ids, look: process.env['LOOK'] }), PERIOD_MS)
}

async function parent(): Promise<void> {
  const child = fork(SELF, ['report'], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  process.once('exit', () => child.kill('SIGKILL'))
  if (child.stdout) await once(child.stdout, 'data')
  setInterval(() => say({ child: true }), PERIOD_MS)
}

async function lab(): Promise<void> {
  const opened = await openNamespaces({ seed: 1 })
  const host = await opened.addHost('host')
  await openDisk(opened, { name: 'data', reach: 'trace', sizeBytes: 1 << 20 })
  // The program dies with this process; its child does not.
  const program = host.spawn('sh', ['-c', 'sleep 60 </dev/null >/dev/null 2>&1 & echo $!; wait'])
  const [child] = program.stdout ? ((await once(program.stdout, 'data')) as [Buffer]) : []
  process.send?.({ number: opened.number, pid: program.pid, child: Number(child) })
  setInterval(() => undefined, PERIOD_MS)
}

const MODES = { write, report, parent, lab }
await MODES[mode as keyof typeof MODES]()
