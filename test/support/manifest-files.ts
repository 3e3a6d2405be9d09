/** Writes manifests into a folder of their own, loads them, and cleans up. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { loadManifest, type LoadResult } from '../../manifest/load.ts'

export type Files = { readonly [path: string]: string | Uint8Array }

export type Loaded = { readonly folder: string; readonly result: LoadResult }

/** Loads a project of these files; the folder is gone when the promise resolves. */
export async function loadFiles(files: Files): Promise<Loaded> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-manifest-'))
  try {
    for (const [path, data] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), data)
    }
    return { folder, result: await loadManifest({ folder }) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Three lines that most manifests start with. */
export const LAKE = '[destination.lake]\ntype = "file"\nurl = "lake"\n'
