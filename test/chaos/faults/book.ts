/**
 * What several faults want of one thing at the same time (links, the mood of the bucket): each writes and
 * crosses out its own line, and the thing is told of all lines at once, one change after the other.
 */
export type Book<Line> = {
  /** Resolves when the thing has been told. */
  write(fault: number, line: Line): Promise<void>
  cross(fault: number): Promise<void>
}

export function createBook<Line>(tell: (lines: readonly Line[]) => Promise<void>): Book<Line> {
  const lines = new Map<number, Line>()
  let last: Promise<void> = Promise.resolve()
  const told = (): Promise<void> => {
    const next = last.catch(() => undefined).then(() => tell([...lines.values()]))
    last = next
    return next
  }
  return {
    write(fault, line) {
      lines.set(fault, line)
      return told()
    },
    cross(fault) {
      return lines.delete(fault) ? told() : Promise.resolve()
    },
  }
}
