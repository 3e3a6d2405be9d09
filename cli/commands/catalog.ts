/** `hakiri catalog rebuild --from-bucket`: a lost catalog comes back from the table logs. */
import { HakiriError } from '../../lib/error.ts'
import { rebuildCatalog } from '../../worker/rebuild.ts'
import type { CommandRun } from '../command.ts'
import { formatTable } from '../output.ts'
import { openProject } from '../project.ts'

export const rebuild: CommandRun = async ({ options, globals }, io) => {
  if (options['fromBucket'] !== true) {
    throw new HakiriError('USAGE', 'say --from-bucket: the bucket becomes the truth', {
      suggestion: 'hakiri catalog rebuild --from-bucket',
    })
  }
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const rows: (readonly [string, number, number, number])[] = []
  for (const destination of Object.values(project.manifest.destinations)) {
    await using store = await project.openStore(destination)
    for (const restored of await rebuildCatalog(destination.name, store, catalog)) {
      rows.push([
        restored.table.name,
        restored.table.nextVersion - 1,
        restored.live.length,
        restored.shards.length,
      ])
    }
  }
  return {
    result: rows,
    summary: `✓ ${rows.length} table(s) restored; the next run continues from their cursors`,
    text: formatTable(['table', 'version', 'files', 'shards'], rows),
  }
}
