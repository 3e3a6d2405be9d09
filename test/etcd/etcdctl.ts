/**
 * Runs every etcdctl command that is promised to work and checks what it prints and how it exits:
 *
 *   node test/etcd/etcdctl.ts --endpoints 127.0.0.1:7701     against a server that is running
 *   node test/etcd/etcdctl.ts --start 'hakiri coord …' --endpoints …    starts it first, ends it after
 *   node test/etcd/etcdctl.ts                                against the edge over a store in memory
 *
 * The server must be fresh and of one member. Prints one line for each check, then the sum.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '../../lib/system/clock.ts'
import { startEdge } from '../support/edge-lab.ts'
import { CHECKS } from './etcdctl-checks.ts'
import { createEtcdctl } from './etcdctl-run.ts'

const { values } = parseArgs({
  options: {
    endpoints: { type: 'string' },
    start: { type: 'string' },
    only: { type: 'string' },
  },
})

type Started = AsyncDisposable & { readonly endpoint: string }

await using server = await startServer()
const folder = await mkdtemp(join(tmpdir(), 'hakiri-etcdctl-'))
const failures: string[] = []
let passed = 0
const etcdctl = createEtcdctl(server.endpoint, folder)
await etcdctl.waitHealthy()
for (const [title, check] of CHECKS) {
  if (values.only !== undefined && !title.includes(values.only)) continue
  try {
    await check(etcdctl)
    passed += 1
    console.log(`ok      ${title}`)
  } catch (error) {
    failures.push(title)
    console.log(`FAILED  ${title}\n${error instanceof Error ? error.message : String(error)}`)
  }
}
await rm(folder, { recursive: true, force: true })
console.log(`${passed} passed, ${failures.length} failed`)
process.exitCode = failures.length === 0 ? 0 : 1

async function startServer(): Promise<Started> {
  if (values.start !== undefined) return startCommand(values.start, values.endpoints ?? '')
  if (values.endpoints !== undefined)
    return { endpoint: values.endpoints, [Symbol.asyncDispose]: () => Promise.resolve() }
  const lab = await startEdge()
  const stopped = new AbortController()
  const tick = async (): Promise<void> => {
    let last = systemClock.monotonic()
    while (!stopped.signal.aborted) {
      await systemClock.sleep(100, stopped.signal)
      const now = systemClock.monotonic()
      lab.node.pass(now - last)
      last = now
    }
  }
  tick().catch(() => {})
  return {
    endpoint: `127.0.0.1:${lab.port}`,
    [Symbol.asyncDispose]: async () => {
      stopped.abort()
      await lab[Symbol.asyncDispose]()
    },
  }
}

function startCommand(command: string, endpoint: string): Started {
  const child = spawn('/bin/sh', ['-c', `exec ${command}`], { stdio: 'inherit' })
  return {
    endpoint,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        if (child.exitCode !== null) return resolve()
        child.once('exit', () => resolve())
        child.kill('SIGTERM')
      }),
  }
}
