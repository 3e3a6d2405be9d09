/** Reads the TAP stream of a test runner line by line: what passed, what failed and why. Pure. */

export type TapEvent =
  | { readonly kind: 'passed'; readonly title: string }
  | { readonly kind: 'skipped'; readonly title: string }
  /** `details` are the diagnostic lines, without the indentation they share. */
  | { readonly kind: 'failed'; readonly title: string; readonly details: readonly string[] }

export type TapReader = {
  /** Takes one line without its newline. */
  read(line: string): readonly TapEvent[]
  /** Closes the stream: what was still open, and whether the runner came to its plan line. */
  end(): { readonly events: readonly TapEvent[]; readonly complete: boolean }
}

const RESULT = /^(not )?ok \d+ - (.*?)(?: # ([A-Z]+))?$/

/** A failure is handed out once the diagnostics after it have been read. */
export function createTapReader(): TapReader {
  let failure: { title: string; details: string[] } | undefined
  let complete = false

  const close = (): TapEvent[] => {
    if (!failure) return []
    const { title, details } = failure
    failure = undefined
    return [{ kind: 'failed', title, details }]
  }

  return {
    read(line) {
      if (/^1\.\.\d+/.test(line)) complete = true
      const match = RESULT.exec(line)
      if (!match) {
        const isDetail = line.startsWith('  ') && !/^ {2}(---|\.\.\.)$/.test(line)
        if (isDetail) failure?.details.push(line.slice(4))
        return []
      }
      const [, not, title = '', directive] = match
      const events = close()
      if (directive) return [...events, { kind: 'skipped', title }]
      if (!not) return [...events, { kind: 'passed', title }]
      failure = { title, details: [] }
      return events
    },
    end: () => ({ events: close(), complete }),
  }
}

export type Tally = { readonly passed: number; readonly failed: number; readonly skipped: number }

/** The closing line that every command of this repository ends with. */
export function closingLine({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}
