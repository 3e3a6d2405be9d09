/**
 * The Snapshot stream: a consistent view of the image as the pieces of a snapshot file, with as much on
 * its way as the network takes.
 */
import { serverStream } from './stream.ts'
import type { Route } from './route.ts'
import type { StreamControl, StreamHooks } from './stream.ts'
import type { Edge } from './edge.ts'
import { refusalFrom } from './errors.ts'
import { encodeSnapshot, estimateSnapshotBytes } from './snapshot-file.ts'
import { ETCD_VERSION } from './version.ts'
import { maintenanceService } from '../../proto/gen/rpc.ts'

export function snapshotRoute(edge: Edge): Route {
  return serverStream(edge, maintenanceService.snapshot, (_request, control) =>
    openSnapshot(edge, control),
  )
}

function openSnapshot(edge: Edge, control: StreamControl): StreamHooks {
  const closed = new AbortController()
  let onSent = (): void => {}
  const room = (): Promise<void> =>
    new Promise((resolve) => {
      onSent = resolve
    })
  sendSnapshot(edge, control, room, closed.signal).then(
    () => control.end(),
    (error: unknown) => {
      // A client that went away is no failure of ours.
      if (!closed.signal.aborted) control.end(refusalFrom(error))
    },
  )
  return {
    onSent: () => onSent(),
    onClose: () => {
      closed.abort()
      onSent()
    },
  }
}

async function sendSnapshot(
  { node, limits, version }: Edge,
  control: StreamControl,
  room: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const header = node.header()
  await using view = await node.snapshot()
  const { clusterId, memberId, revision } = header
  const fileHeader = { clusterId, memberId, revision, mark: view.mark, version }
  let remaining = estimateSnapshotBytes(view.sizeBytes)
  for await (const piece of encodeSnapshot(fileHeader, view.records(signal))) {
    for (let from = 0; from < piece.length; from += limits.snapshotChunkBytes) {
      const blob = piece.subarray(from, from + limits.snapshotChunkBytes)
      remaining = Math.max(1, remaining - blob.length)
      control.write(
        maintenanceService.snapshot.responseSerialize({
          header,
          blob,
          remainingBytes: remaining,
          version: ETCD_VERSION,
        }),
      )
      while (control.unsentBytes() >= limits.snapshotUnsentBytesMax) {
        await room()
        signal.throwIfAborted()
      }
    }
  }
}
