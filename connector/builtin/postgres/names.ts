/**
 * Names of the source on their way into SQL, into labels and into shard ids.
 * Invariant: two different tables never share a label or an id, whatever characters they use.
 */

/** A name as SQL spells it: always quoted, so that case and odd characters stand. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A text literal; the session runs with standard_conforming_strings on. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** "public.orders"; a part that holds a dot or a quote is quoted, so that the label stays unique. */
export function tableLabel(schema: string, name: string): string {
  return `${labelPart(schema)}.${labelPart(name)}`
}

/** Any text as characters that a shard id may have: others become =XX, byte by byte. */
export function idPart(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9._-]/gu, (character) =>
    [...new TextEncoder().encode(character)]
      .map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  )
}

function labelPart(part: string): string {
  return /[."]/.test(part) ? quoteName(part) : part
}
