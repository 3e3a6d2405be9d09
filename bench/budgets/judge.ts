/** Figures beside their budgets and beside those of the time before. Pure. What cannot be read as a number is over. */

export type BudgetRow = {
  readonly profile: string
  readonly what: string
  readonly is: number
  readonly may: number
}

export type Judged = BudgetRow & { readonly isOver: boolean }

/** The figures of one measurement, by `profile: what`. */
export type Figures = Readonly<Record<string, number>>

export function judge(rows: readonly BudgetRow[]): readonly Judged[] {
  return rows.map((row) => ({
    ...row,
    is: Math.round(row.is * 10) / 10,
    isOver: !(row.is <= row.may),
  }))
}

export function figuresOf(rows: readonly BudgetRow[]): Figures {
  return Object.fromEntries(rows.map((row) => [keyOf(row), row.is]))
}

export function table(rows: readonly Judged[], before: Figures): string {
  const line = (row: Judged): string =>
    `| ${row.profile.padEnd(5)} | ${row.what.padEnd(32)} | ${cell(before[keyOf(row)])} | ${cell(row.is)} | ${String(row.may).padStart(4)} | ${row.isOver ? '✗' : '✓'} |`
  return [
    '| file  | what                             | before |     is |  may |   |',
    '| ----- | -------------------------------- | ------ | ------ | ---- | - |',
    ...rows.map(line),
  ].join('\n')
}

function keyOf({ profile, what }: BudgetRow): string {
  return `${profile}: ${what}`
}

function cell(figure: number | undefined): string {
  return (figure === undefined ? '' : String(figure)).padStart(6)
}
