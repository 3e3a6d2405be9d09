/** `hakiri ctl snapshot save`: one member's state in a file that is whole or not there. */
import { createHash } from 'node:crypto'
import { open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isSnapshotStart } from '../../../coord/server/snapshot-file.ts'
import { HakiriError } from '../../../lib/error.ts'
import { syncFolder } from '../../../lib/system/fs.ts'
import { formatBytes } from '../../../lib/units.ts'
import { withCluster } from '../../coord/connect.ts'

const DIGEST_BYTES = 32

export const snapshotSave = withCluster(async ({ admin, endpoints }, { args }, io) => {
  const file = String(args[0])
  const endpoint = endpoints[0] ?? ''
  const swept = await sweepParts(dirname(file))
  // Of this process alone: two saves to one name must not write into each other.
  const part = `${file}.${process.pid}.part`
  try {
    const bytes = await receive(admin.snapshot(endpoint, { signal: io.stop }), part)
    await rename(part, file)
    await syncFolder(dirname(file))
    const also = swept.length > 0 ? `; removed what was left of ${swept.length} save(s)` : ''
    return {
      result: { file, bytes, endpoint, swept },
      summary: `✓ ${formatBytes(bytes)} from ${endpoint} in ${file}, checksum verified${also}`,
    }
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
})

const PART_NAME = /\.(\d+)\.part$/
/** A save that is under way writes more often than this. */
const QUIET_MS = 60_000
/** On a shared disk the process may be another machine's; none takes that long for one write. */
const ABANDONED_MS = 3_600_000

/** Removes what saves have left in this folder that were cut off before they could clean up. */
async function sweepParts(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => [])
  const swept: string[] = []
  for (const name of names) {
    const pid = Number(PART_NAME.exec(name)?.[1] ?? NaN)
    if (Number.isNaN(pid) || !(await isLeftOver(join(folder, name), pid))) continue
    await rm(join(folder, name), { force: true })
    swept.push(basename(name))
  }
  return swept
}

async function isLeftOver(path: string, pid: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined)
  if (!found?.isFile()) return false
  const quietMs = Date.now() - found.mtimeMs
  const isQuiet = quietMs > (isRunning(pid) ? ABANDONED_MS : QUIET_MS)
  return isQuiet && (await holdsSnapshot(path))
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM'
  }
}

/** Nobody else's file, whatever its name. */
async function holdsSnapshot(path: string): Promise<boolean> {
  await using handle = await open(path, 'r')
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(DIGEST_BYTES), 0, DIGEST_BYTES, 0)
  return isSnapshotStart(buffer.subarray(0, bytesRead))
}

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
