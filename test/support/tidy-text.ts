/** House rules about any text file: markers of unfinished work, words that do not belong, headings. */
import type { Breach, TextFile } from './tidy-source.ts'

// Spelled in two halves, so that this file does not breach its own rule.
const MARKERS = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|')})\\b`)

const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [new RegExp('registry\\.' + 'npm' + 'js|deb\\.' + 'debian|pypi\\.' + 'org'), 'a registry host'],
  [new RegExp('(^|[\\s"\'`(=])/(home|root|Users|work)' + '/[\\w.-]'), 'an absolute home path'],
  [new RegExp('sub' + 'agent|\\.lib' + 'rary\\b'), 'a word that is not of this project'],
]

export function checkMarkers(file: TextFile): Breach[] {
  return breachesPerLine(file, (line) => MARKERS.exec(line)?.[0])
}

export function checkForeignWords(file: TextFile): Breach[] {
  return breachesPerLine(file, (line) => FOREIGN.find(([pattern]) => pattern.test(line))?.[1])
}

function breachesPerLine(
  { path, text }: TextFile,
  judge: (line: string) => string | undefined,
): Breach[] {
  return text.split('\n').flatMap((line, index) => {
    const message = judge(line)
    return message === undefined ? [] : [{ path, line: index + 1, message: `has ${message}` }]
  })
}

/** A page has one title, and it comes first. */
export function checkHeadings({ path, text }: TextFile): Breach[] {
  if (!path.endsWith('.md')) return []
  const withoutCode = text.replaceAll(/^(```|~~~)[^]*?^\1/gm, (block) =>
    block.replaceAll(/[^\n]/g, ''),
  )
  const lines = withoutCode.split('\n')
  const titles = lines.flatMap((line, index) => (/^# \S/.test(line) ? [index + 1] : []))
  const [first = 1, second] = titles
  if (titles.length === 0) return [{ path, line: 1, message: 'has no title' }]
  if (second !== undefined) return [{ path, line: second, message: 'has a second title' }]
  const isLate = lines.slice(0, first - 1).some((line) => line.trim() !== '')
  return isLate ? [{ path, line: first, message: 'has text before its title' }] : []
}
