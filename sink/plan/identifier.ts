/**
 * Any text as a lower snake case name. The same text always gives the same name; different texts may
 * give the same one, which is for the caller to settle (names.ts).
 */
import { shortHash } from './hash.ts'

/** Longest name of a table or column. */
export const NAME_LENGTH_MAX = 127

/** Names that start with this belong to Hakiri. */
export const RESERVED_PREFIX = '_hakiri_'

/** Letters that canonical decomposition leaves whole. */
const LETTERS: Readonly<Record<string, string>> = {
  ß: 'ss',
  ẞ: 'Ss',
  æ: 'ae',
  Æ: 'Ae',
  œ: 'oe',
  Œ: 'Oe',
  ø: 'o',
  Ø: 'O',
  đ: 'd',
  Đ: 'D',
  ð: 'd',
  Ð: 'D',
  ł: 'l',
  Ł: 'L',
  þ: 'th',
  Þ: 'Th',
  ı: 'i',
}

/**
 * "Order ID" → "order_id", "createdAt" → "created_at", "Größe" → "grosse", "名" → "u540d", "2024" →
 * "_2024". Runs of underscores become one, so that `__` marks names that Hakiri derives.
 */
export function identifier(text: string, whenEmpty: string): string {
  const ascii = Array.from(text.trim().normalize('NFKD'), plainLetter).join('').trim()
  const words = ascii
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/_$/, '')
  if (words === '') return whenEmpty
  return shorten(/^[0-9]/.test(words) ? `_${words}` : words, text)
}

/** Cuts a name that is too long and ends it in a hash of `whole`, so that it stays distinct. */
export function shorten(name: string, whole: string): string {
  if (name.length <= NAME_LENGTH_MAX) return name
  return `${name.slice(0, NAME_LENGTH_MAX - 9).replace(/_$/, '')}_${shortHash(whole)}`
}

/** Adds `_2`, `_3` …, keeping within the length limit. */
export function numbered(name: string, number: number): string {
  const suffix = `_${number}`
  return `${name.slice(0, NAME_LENGTH_MAX - suffix.length)}${suffix}`
}

function plainLetter(letter: string): string {
  const known = LETTERS[letter]
  if (known !== undefined) return known
  const point = letter.codePointAt(0) ?? 0
  if (point < 0x80) return letter
  if (/^\p{M}$/u.test(letter)) return ''
  if (/^[\p{P}\p{Z}\p{C}]$/u.test(letter) && !/^\p{Cn}$/u.test(letter)) return '_'
  return ` u${point.toString(16)} `
}
