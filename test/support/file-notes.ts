/** What the processes of test files noted (file-hook.ts): which take longest, and which never came to their end. */
import { readFileSync } from 'node:fs'

/** Names the file that all of them append to. */
export const NOTES_VARIABLE = 'HAKIRI_TEST_NOTES'
const SHOWN = 12
/** What is quicker is not worth a line. */
const SHOWN_MS_MIN = 3_000

/** One as the process begins, one as it ends. */
export type FileNote =
  | { readonly file: string; readonly what: 'began' }
  | {
      readonly file: string
      readonly what: 'ended'
      readonly wallMs: number
      readonly cpuMs: number
    }

export function readNotes(path: string): readonly FileNote[] {
  const lines = readFileSync(path, 'utf8').split('\n')
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as FileNote)
}

export function unfinishedFiles(notes: readonly FileNote[]): readonly string[] {
  const ended = new Set(notes.filter(({ what }) => what === 'ended').map(({ file }) => file))
  return notes.flatMap(({ what, file }) => (what === 'began' && !ended.has(file) ? [file] : []))
}

/** As lines to print. */
export function slowFiles(notes: readonly FileNote[]): readonly string[] {
  return notes
    .filter((note) => note.what === 'ended')
    .filter(({ wallMs }) => wallMs >= SHOWN_MS_MIN)
    .toSorted((a, b) => b.wallMs - a.wallMs)
    .slice(0, SHOWN)
    .map(
      ({ file, wallMs, cpuMs }) => `${seconds(wallMs)} s, ${seconds(cpuMs)} s of it busy  ${file}`,
    )
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1).padStart(6)
}
