/** Which test files take longest: what their processes noted (file-time.ts), as lines to print. */
import { readFileSync } from 'node:fs'

/** Names the file that all of them append to. */
export const TIMES_VARIABLE = 'HAKIRI_TEST_TIMES'
const SHOWN = 12
/** What is quicker is not worth a line. */
const SHOWN_MS_MIN = 3_000

type FileTime = { readonly file: string; readonly wallMs: number; readonly cpuMs: number }

export function slowFiles(notes: string): readonly string[] {
  const lines = readFileSync(notes, 'utf8').split('\n')
  const times = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as FileTime)
  return times
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
