/** Texts that an artifact carries, and that a clone has as files. */
import { readFileSync } from 'node:fs'
import { getAsset, isSea } from 'node:sea'

/** `path` as in the repository, such as deploy/systemd/hakiri-coord.service. */
export function embeddedText(path: string): string {
  return isSea()
    ? getAsset(path, 'utf8')
    : readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
}
