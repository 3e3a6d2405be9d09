/** Figures beside their budgets. Pure. What cannot be read as a number is over. */

export type BudgetRow = {
  readonly profile: string
  readonly what: string
  readonly is: number
  readonly may: number
}

export type Judged = BudgetRow & { readonly isOver: boolean }

export function judge(rows: readonly BudgetRow[]): readonly Judged[] {
  return rows.map((row) => ({
    ...row,
    is: Math.round(row.is * 10) / 10,
    isOver: !(row.is <= row.may),
  }))
}

export function table(rows: readonly Judged[]): string {
  const line = ({ profile, what, is, may, isOver }: Judged): string =>
    `| ${profile.padEnd(5)} | ${what.padEnd(32)} | ${String(is).padStart(6)} | ${String(may).padStart(4)} | ${isOver ? '✗' : '✓'} |`
  return [
    '| file  | what                             |     is |  may |   |',
    '| ----- | -------------------------------- | ------ | ---- | - |',
    ...rows.map(line),
  ].join('\n')
}
