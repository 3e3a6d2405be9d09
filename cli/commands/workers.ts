/** `hakiri workers`: who is there, with what. */
import type { WorkerRow } from '../../catalog/cluster.ts'
import { openClusterCatalog } from '../cluster.ts'
import type { CommandRun } from '../command.ts'
import { formatTable } from '../output.ts'
import { ago } from '../time.ts'

export const workers: CommandRun = async ({ globals }, io) => {
  await using catalog = await openClusterCatalog(globals, io)
  const [rows, placements] = await Promise.all([catalog.workers(), catalog.placements()])
  const assigned = (name: string): number =>
    placements.filter(({ worker }) => worker === name).length
  const present = rows.filter((row) => row.isPresent).length
  return {
    result: rows.map((row) => ({ ...row, state: stateOf(row), assigned: assigned(row.name) })),
    summary:
      rows.length === 0
        ? 'no worker was ever here; next: hakiri serve'
        : `${present} of ${rows.length} worker(s) present`,
    text:
      rows.length === 0
        ? ''
        : formatTable(
            [
              'worker',
              'state',
              'slots',
              'assigned',
              'labels',
              'version',
              'address',
              'started',
              'seen',
            ],
            rows.map((row) => [
              row.name,
              stateOf(row),
              row.slots,
              assigned(row.name),
              Object.entries(row.labels)
                .map(([label, value]) => `${label}=${value}`)
                .join(' '),
              row.version,
              row.address,
              ago(row.startedAt),
              ago(row.seenAt),
            ]),
          ),
  }
}

function stateOf({ isPresent, isCordoned }: WorkerRow): string {
  if (!isPresent) return isCordoned ? 'away, draining' : 'away'
  return isCordoned ? 'draining' : 'active'
}
