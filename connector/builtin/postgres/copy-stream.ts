/**
 * Runs COPY statements on a connection's own stream and hands out chunks as they are asked for.
 * Invariant: the stream flows only while no finished chunk waits, so at most one chunk and what the
 * socket had already delivered lie in memory beside the one the consumer holds.
 */
import type { Duplex } from 'node:stream'
import { createCopyParser, type CopyChunk, type CopyLimits } from './copy-parser.ts'

type Outcome = { readonly kind: 'ready' } | { readonly kind: 'failure'; readonly error: Error }

/** Sends `sql` and yields its rows; ends when the server awaits the next statement. */
export async function* copyOut(
  stream: Duplex,
  sql: string,
  limits: CopyLimits,
): AsyncGenerator<CopyChunk, void, undefined> {
  const flow = startFlow(stream, limits)
  try {
    stream.write(queryMessage(sql))
    for (;;) {
      const next = await flow.next()
      if (next === undefined) return
      yield next
    }
  } finally {
    flow.stop()
  }
}

type Flow = {
  /** The next chunk; undefined at the end. */
  readonly next: () => Promise<CopyChunk | undefined>
  readonly stop: () => void
}

function startFlow(stream: Duplex, limits: CopyLimits): Flow {
  const chunks: CopyChunk[] = []
  let outcome: Outcome | undefined
  let failure: Error | undefined
  let wake: (() => void) | undefined

  const settle = (result: Outcome): void => {
    outcome ??= result
    wake?.()
  }
  const fail = (error: Error): void => settle({ kind: 'failure', error })
  const parser = createCopyParser(limits, {
    chunk: (chunk) => chunks.push(chunk),
    failure: (error) => (failure ??= error),
    ready: () => settle(failure ? { kind: 'failure', error: failure } : { kind: 'ready' }),
  })
  const onData = (bytes: Uint8Array): void => {
    if (outcome) return
    try {
      parser.feed(bytes)
    } catch (error) {
      fail(error as Error)
    }
    if (chunks.length > (wake ? 1 : 0)) stream.pause()
    if (chunks.length > 0) wake?.()
  }
  // A fatal message of the server comes right before the cut, and says more than the cut.
  const onClose = (): void => fail(failure ?? new Error('the connection was cut'))
  stream.on('data', onData).on('error', fail).on('end', onClose).on('close', onClose)
  if (stream.destroyed) onClose()

  const next = async (): Promise<CopyChunk | undefined> => {
    while (chunks.length === 0 && !outcome) {
      await new Promise<void>((resolve) => {
        wake = resolve
        stream.resume()
      })
      wake = undefined
    }
    const chunk = chunks.shift()
    if (chunk) {
      if (chunks.length === 0) stream.resume()
      return chunk
    }
    if (outcome?.kind === 'failure') throw outcome.error
    return undefined
  }
  const stop = (): void => {
    stream.off('data', onData).off('error', fail).off('end', onClose).off('close', onClose)
    stream.pause()
  }
  return { next, stop }
}

function queryMessage(sql: string): Buffer {
  const text = Buffer.from(`${sql}\0`, 'utf8')
  const message = Buffer.allocUnsafe(5 + text.length)
  message.write('Q', 0, 'latin1')
  message.writeUInt32BE(text.length + 4, 1)
  text.copy(message, 5)
  return message
}
