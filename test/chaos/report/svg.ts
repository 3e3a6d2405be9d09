/** The few shapes of SVG that a timeline is drawn with, as text. Everything that is put in is escaped. */

export function escapeText(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

type Attributes = { readonly [name: string]: string | number }

export function element(name: string, attributes: Attributes, inside = ''): string {
  const list = Object.entries(attributes)
    .map(
      ([key, value]) =>
        ` ${key}="${escapeText(String(typeof value === 'number' ? round(value) : value))}"`,
    )
    .join('')
  return `<${name}${list}>${inside}</${name}>`
}

const round = (value: number): number => Math.round(value * 10) / 10

export type Box = {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** A bar that says more when the pointer rests on it. */
export function bar(box: Box, fill: string, hint: string, more: Attributes = {}): string {
  const { x, y, height } = box
  const width = Math.max(box.width, 1.5)
  const title = `<title>${escapeText(hint)}</title>`
  return element('rect', { x, y, width, height, fill, ...more }, title)
}

export function words(x: number, y: number, text: string, more: Attributes = {}): string {
  return element('text', { x, y, ...more }, escapeText(text))
}

/** Text that fits into so many pixels at the size of labels; empty when hardly anything would be left. */
export function fitted(text: string, width: number, size = 10): string {
  const room = Math.floor(width / (size * 0.56))
  if (text.length <= room) return text
  return room < 5 ? '' : `${text.slice(0, room - 1)}…`
}

export function line(x1: number, y1: number, x2: number, y2: number, more: Attributes): string {
  return element('line', { x1, y1, x2, y2, ...more })
}

export function path(points: readonly (readonly [number, number])[], more: Attributes): string {
  const d = points
    .map(([x, y], index) => `${index === 0 ? 'M' : 'L'}${round(x)} ${round(y)}`)
    .join('')
  return element('path', { d, fill: 'none', ...more })
}
