/** `hakiri ctl snapshot save`: one member's state in a file that is whole or not there. */
import { createHash } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { HakiriError } from '../../../lib/error.ts'
import { formatBytes } from '../../../lib/units.ts'
import { withCluster } from '../../coord/connect.ts'

const DIGEST_BYTES = 32

export const snapshotSave = withCluster(async ({ admin, endpoints }, { args }, io) => {
  const file = String(args[0])
  const endpoint = endpoints[0] ?? ''
  const part = `${file}.part`
  try {
    const bytes = await receive(admin.snapshot(endpoint, { signal: io.stop }), part)
    await rename(part, file)
    await syncFolder(dirname(file))
    return {
      result: { file, bytes, endpoint },
      summary: `✓ ${formatBytes(bytes)} from ${endpoint} in ${file}, checksum verified`,
    }
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
})

/** The last 32 bytes are the SHA-256 of all before them. */
async function receive(
  pieces: AsyncIterable<{ readonly blob: Uint8Array }>,
  part: string,
): Promise<number> {
  await using output = await open(part, 'w', 0o600)
  const digest = createHash('sha256')
  let held: Buffer = Buffer.alloc(0)
  let bytes = 0
  for await (const { blob } of pieces) {
    await output.write(blob)
    bytes += blob.length
    const all = Buffer.concat([held, blob])
    const body = Math.max(0, all.length - DIGEST_BYTES)
    digest.update(all.subarray(0, body))
    held = Buffer.from(all.subarray(body))
  }
  if (bytes <= DIGEST_BYTES || !digest.digest().equals(held))
    throw new HakiriError('SNAPSHOT_INVALID', 'the snapshot arrived damaged or cut short', {
      suggestion: 'Try again, or take it from another member.',
    })
  await output.sync()
  return bytes
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  await handle.sync()
}
