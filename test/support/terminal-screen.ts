/**
 * The part of a terminal that progress displays rely on: lines, carriage return, cursor moves and
 * erasing. Colours are dropped; a control sequence that is not known throws, so that no display is
 * misread in silence.
 */

export type Screen = {
  write(data: string): void
  text(): string
}

type State = {
  readonly lines: string[]
  row: number
  column: number
  readonly rows: number
}

const TOKEN = /\u001b\[([?>]?)([\d;]*)([A-Za-z])|\u001b[=>78]|\u001b\].*?(?:\u0007|\u001b\\)|[^]/y

/** `rows` is the height of the window; lines above it can no longer be reached by the cursor. */
export function createScreen(rows: number): Screen {
  const state: State = { lines: [''], row: 0, column: 0, rows }
  let pending = ''
  return {
    write(data) {
      const text = pending + data
      const cut = unfinishedFrom(text)
      pending = text.slice(cut)
      for (let at = 0; at < cut; at = TOKEN.lastIndex) {
        TOKEN.lastIndex = at
        const match = TOKEN.exec(text)
        if (match) take(state, match)
      }
    },
    text: () =>
      state.lines
        .map((line) => line.trimEnd())
        .join('\n')
        .trimEnd(),
  }
}

/** Where an escape sequence starts that the next chunk has yet to finish. */
function unfinishedFrom(text: string): number {
  const start = text.lastIndexOf('\u001b')
  if (start < 0) return text.length
  const rest = text.slice(start + 1)
  const isWhole = /^(\[[?>]?[\d;]*[A-Za-z]|[=>78]|\][^]*?(\u0007|\u001b\\)|\\)/.test(rest)
  return isWhole ? text.length : start
}

function take(state: State, match: RegExpExecArray): void {
  const [token, prefix = '', parameters = '', command] = match
  if (command === undefined) return token.startsWith('\u001b') ? undefined : put(state, token)
  // Private modes, such as hiding the cursor, and colours change nothing that is readable.
  if (prefix !== '' || command === 'm' || command === 'h' || command === 'l') return
  control(state, command, parameters.split(';').map(Number))
}

function put(state: State, char: string): void {
  if (char === '\r') state.column = 0
  else if (char === '\n') moveTo(state, state.row + 1)
  else if (char === '\b') state.column = Math.max(0, state.column - 1)
  else if (char !== '\u0007') {
    const line = (state.lines[state.row] ?? '').padEnd(state.column)
    state.lines[state.row] = line.slice(0, state.column) + char + line.slice(state.column + 1)
    state.column++
  }
}

function moveTo(state: State, row: number): void {
  const top = Math.max(0, state.lines.length - state.rows)
  state.row = Math.max(top, row)
  while (state.lines.length <= state.row) state.lines.push('')
}

function control(state: State, command: string, [first = 0]: readonly number[]): void {
  const count = Math.max(1, first)
  const line = state.lines[state.row] ?? ''
  switch (command) {
    case 'A':
      return moveTo(state, state.row - count)
    case 'B':
      return moveTo(state, state.row + count)
    case 'C':
      state.column += count
      return
    case 'D':
      state.column = Math.max(0, state.column - count)
      return
    case 'E':
    case 'F':
      state.column = 0
      return moveTo(state, state.row + (command === 'E' ? count : -count))
    case 'G':
      state.column = count - 1
      return
    case 'K':
      state.lines[state.row] = erased(line, first, state.column)
      return
    case 'J':
      if (first !== 0) throw new Error(`erasing the screen in mode ${first} is not known`)
      state.lines[state.row] = line.slice(0, state.column)
      state.lines.length = state.row + 1
      return
    default:
      throw new Error(`the control sequence ${command} is not known`)
  }
}

function erased(line: string, mode: number, column: number): string {
  if (mode === 2) return ''
  return mode === 1 ? ' '.repeat(column + 1) + line.slice(column + 1) : line.slice(0, column)
}
