/** Reads a local file in blocks for a consumer that takes whole records and leaves the rest. */
import { open } from 'node:fs/promises'

const BLOCK_BYTES = 1 << 20

/**
 * Calls `take` with what has been read and not yet taken; it returns how many bytes it took. The block
 * grows while nothing is taken. At the end `take` is called once more with the last, unended record
 * and a newline behind it. Returns the size of the file.
 */
export async function eachBlock(
  path: string,
  signal: AbortSignal,
  take: (block: Buffer) => number,
): Promise<number> {
  const file = await open(path, 'r')
  try {
    let buffer: Buffer = Buffer.allocUnsafe(BLOCK_BYTES)
    let held = 0
    let total = 0
    for (;;) {
      signal.throwIfAborted()
      if (held === buffer.length) buffer = grown(buffer)
      const { bytesRead } = await file.read(buffer, held, buffer.length - held)
      if (bytesRead === 0) break
      total += bytesRead
      held += bytesRead
      const taken = take(buffer.subarray(0, held))
      if (taken > 0) buffer.copyWithin(0, taken, held)
      held -= taken
    }
    if (held > 0) take(Buffer.concat([buffer.subarray(0, held), Buffer.from('\n')]))
    return total
  } finally {
    await file.close()
  }
}

function grown(buffer: Buffer): Buffer {
  const larger = Buffer.allocUnsafe(buffer.length * 2)
  buffer.copy(larger)
  return larger
}
