/** Whether a service would take its settings: by the very code that it reads them with. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HakiriError } from '../../lib/error.ts'
import { loadCoordSection } from '../../manifest/coord.ts'
import type { Problem } from '../../manifest/problem.ts'
import { loadServeSections } from '../../manifest/serve-sections.ts'
import { checkExposure, resolveNode } from '../coord/settings.ts'
import { resolveServe } from '../serve/settings.ts'
import type { Role } from './layout.ts'

/** Throws what the service would end with. */
export async function checkSettingsText(role: Role, text: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-settings-'))
  try {
    await writeFile(join(folder, 'hakiri.toml'), text)
    if (role === 'coord') await checkCoord(folder)
    else await checkWorker(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function checkCoord(folder: string): Promise<void> {
  const loaded = await loadCoordSection({ folder })
  if (!loaded.ok) throw refusal(loaded.problems)
  checkExposure(resolveNode({ options: {}, env: {}, section: loaded.section }))
}

async function checkWorker(folder: string): Promise<void> {
  const loaded = await loadServeSections({ folder })
  if (!loaded.ok) throw refusal(loaded.problems)
  resolveServe({ options: {}, env: {} }, loaded.sections)
}

/** The file is one that nobody has seen yet, so that its lines say nothing. */
function refusal([first]: readonly Problem[]): HakiriError {
  const { code, message, suggestion, key } = first ?? {
    code: 'CONFIG_INVALID' as const,
    message: '',
  }
  const where = key === undefined ? '' : `${key}: `
  return new HakiriError(code, `${where}${message}`, suggestion === undefined ? {} : { suggestion })
}
