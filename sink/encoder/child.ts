/**
 * The encoder process: answers the calls of the Hakiri process that forked it, and ends with it. Ctrl-C
 * reaches the whole process group, but ending is the parent's decision, so that a drain can finish.
 */
import { rm } from 'node:fs/promises'
import { encodeFailure } from './failure.ts'
import type { Call, ChildOptions, Failure, Reply, Request } from './protocol.ts'
import { createServer } from './serve.ts'

const options = JSON.parse(process.argv[2] ?? '') as ChildOptions
const server = createServer(options)
const running = new Map<number, AbortController>()

process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => undefined)

process.on('message', (message) => {
  const request = message as Request
  if ('cancel' in request) running.get(request.id)?.abort()
  else answer(request.id, request.call).catch(fail)
})

/** Nobody waits any more: with every job cancelled nothing keeps this process alive. */
process.once('disconnect', () => {
  for (const job of running.values()) job.abort()
  if (running.size === 0) leave().catch(fail)
})

async function answer(id: number, call: Call): Promise<void> {
  const job = new AbortController()
  running.set(id, job)
  const result = await server.run(call, job.signal).then(
    (value): Reply['result'] => ({ kind: 'done', value }),
    (error: unknown): Reply['result'] => ({ kind: 'failed', failure: failureOf(error) }),
  )
  running.delete(id)
  const reply: Reply = { id, peakBytes: peakBytes(), result }
  // A parent that goes while it is sent to gets no answer; that it went is told by itself.
  if (process.connected) process.send?.(reply, undefined, undefined, () => undefined)
  else if (running.size === 0) await leave()
}

async function leave(): Promise<void> {
  await rm(options.folder, { recursive: true, force: true })
}

/** A bug: the process ends, and its calls fail with what it says here. */
function fail(error: unknown): void {
  process.nextTick(() => {
    throw error
  })
}

function failureOf(error: unknown): Failure {
  const { code, message, suggestion } = encodeFailure(error)
  return { code, message, suggestion }
}

function peakBytes(): number {
  return process.resourceUsage().maxRSS * 1024
}
