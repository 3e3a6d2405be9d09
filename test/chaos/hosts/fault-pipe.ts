/**
 * One direction of a proxied connection: takes bytes from one socket and gives them to the other when the
 * link lets them. Order is kept, nothing is lost: what a network loses, TCP sends again, so a lost packet
 * is one that comes late. A cut holds everything, the end of the connection too.
 */
import type { Socket } from 'node:net'
import type { LinkState } from './links.ts'

/** Tells the pipe to look at the link again. */
export type FaultPipe = { readonly look: () => void; readonly close: () => void }

type Content =
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  | { readonly kind: 'end' }
  | { readonly kind: 'reset' }

const QUEUED_BYTES_MAX = 1 << 20
const PACKET_BYTES = 1_448
/** After so long, and twice as long each time, TCP sends a lost packet again. */
const RESEND_MS = 200
const RESENDS_MAX = 6
/** So much later comes a packet that others overtake. */
const HOLD_MS = 10

export function createFaultPipe(
  from: Socket,
  to: Socket,
  stateOf: () => LinkState,
  random: () => number,
): FaultPipe {
  const queue: { readonly dueMs: number; readonly content: Content }[] = []
  let queuedBytes = 0
  let freeAtMs = 0
  let lastDueMs = 0
  let timer: NodeJS.Timeout | undefined
  const put = (content: Content): void => {
    const state = stateOf()
    const bytes = content.kind === 'bytes' ? content.bytes.length : 0
    const now = performance.now()
    if (state.kbitPerS !== undefined)
      freeAtMs = Math.max(freeAtMs, now) + (bytes * 8) / state.kbitPerS
    const start = state.kbitPerS === undefined ? now : freeAtMs
    lastDueMs = Math.max(lastDueMs, start + lateness(state, bytes, random))
    queue.push({ content, dueMs: lastDueMs })
    queuedBytes += bytes
    if (queuedBytes > QUEUED_BYTES_MAX) from.pause()
    look()
  }
  const look = (): void => {
    clearTimeout(timer)
    timer = undefined
    while (!stateOf().isCut && !to.writableNeedDrain) {
      const item = queue[0]
      if (!item) return
      const waitMs = item.dueMs - performance.now()
      if (waitMs > 0) {
        timer = setTimeout(look, waitMs)
        return
      }
      queue.shift()
      give(item.content)
    }
  }
  const give = (content: Content): void => {
    switch (content.kind) {
      case 'bytes':
        to.write(content.bytes)
        queuedBytes -= content.bytes.length
        if (queuedBytes <= QUEUED_BYTES_MAX) from.resume()
        return
      case 'end':
        return void to.end()
      case 'reset':
        // A socket whose end has been sent cannot be reset any more; its handle would stay for ever.
        return void (to.writableEnded ? to.destroy() : to.resetAndDestroy())
    }
  }
  to.on('drain', look)
  from.on('data', (bytes: Buffer) => put({ kind: 'bytes', bytes }))
  from.once('end', () => put({ kind: 'end' }))
  from.once('error', () => put({ kind: 'reset' }))
  return { look, close: () => clearTimeout(timer) }
}

function lateness(state: LinkState, bytes: number, random: () => number): number {
  const packets = Math.max(1, Math.ceil(bytes / PACKET_BYTES))
  const hits = (percent: number): boolean => random() > (1 - percent / 100) ** packets
  let ms = state.delayMs + (random() * 2 - 1) * state.jitterMs
  for (let resend = 0; resend < RESENDS_MAX && hits(state.lossPercent); resend++)
    ms += RESEND_MS * 2 ** resend
  if (hits(state.reorderPercent)) ms += HOLD_MS
  return Math.max(0, ms)
}
