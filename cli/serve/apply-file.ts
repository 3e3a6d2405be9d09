/** Makes the hakiri.toml beside a worker that coordinates itself the manifest in force. */
import type { Catalog } from '../../catalog/catalog.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Logger } from '../../lib/ports.ts'
import { loadManifest } from '../../manifest/load.ts'
import type { ServeSections } from '../../manifest/serve-sections.ts'
import { encodeManifest, hashDocument } from '../../manifest/stored.ts'

/** Does nothing without a file; throws the first problem of one that is not good. */
export async function applyFile(
  { file }: ServeSections,
  catalog: Catalog,
  by: string,
  logger: Logger,
): Promise<void> {
  if (file === undefined) return
  const loaded = await loadManifest({ file })
  if (!loaded.ok) {
    const [first] = loaded.problems
    if (!first) throw new HakiriError('CONFIG_INVALID', 'the configuration is not valid')
    const { code, message, suggestion, line, column, key } = first
    throw new HakiriError(code, message, {
      place: { file: first.file, line, column, key },
      ...(suggestion === undefined ? {} : { suggestion }),
    })
  }
  const document = encodeManifest(loaded.manifest)
  const { version } = await catalog.applyManifest(document, hashDocument(document), by)
  logger.log('info', 'the configuration is applied', { file, version })
}
