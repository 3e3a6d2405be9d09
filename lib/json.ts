/** JSON values, and a text form of them that is the same for equal values. */

export type Json =
  null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** Serialises with sorted object keys, so that equal values give equal bytes. */
export function stableStringify(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map((item: Json) => stableStringify(item)).join(',')}]`
  const object = value as { readonly [key: string]: Json }
  const parts = Object.keys(object)
    .toSorted()
    .map((key) => `${JSON.stringify(key)}:${stableStringify(object[key] ?? null)}`)
  return `{${parts.join(',')}}`
}
