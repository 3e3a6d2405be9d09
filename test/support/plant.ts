/** Bugs planted in a copy of the tree, to see that the checks catch them. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export type Edit = { readonly file: string; readonly from: string; readonly to: string }

/** Throws when the code is not as the edits know it: a plant that does nothing proves nothing. */
export function plantEdits(folder: string, name: string, edits: readonly Edit[]): void {
  for (const { file, from, to } of edits) {
    const path = join(folder, file)
    const text = readFileSync(path, 'utf8')
    if (!text.includes(from)) throw new Error(`${name}: ${file} has changed, plant it anew`)
    writeFileSync(
      path,
      text.replace(from, () => to),
    )
  }
}
