/** What differs between two manifests, for `hakiri apply`. Pure. */
import { stableStringify, type Json } from '../lib/json.ts'
import type { Manifest } from './manifest.ts'

export type Changed = { readonly name: string; readonly keys: readonly string[] }

export type Difference = {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  /** With the keys whose values differ, as the typed manifest names them. */
  readonly changed: readonly Changed[]
}

export type ManifestDifference = {
  readonly pipelines: Difference
  readonly destinations: Difference
  /** Keys beside the two. */
  readonly settings: readonly string[]
}

/** `before` is undefined when nothing was stored yet. */
export function compareManifests(
  before: Manifest | undefined,
  after: Manifest,
): ManifestDifference {
  const settings = (['catalogUrl', 'coordBackend'] as const).filter(
    (key) => before !== undefined && before[key] !== after[key],
  )
  return {
    pipelines: compare(before?.pipelines ?? {}, after.pipelines),
    destinations: compare(before?.destinations ?? {}, after.destinations),
    settings,
  }
}

type Named = { readonly [name: string]: object }

function compare(before: Named, after: Named): Difference {
  const names = (of: Named, without: Named): readonly string[] =>
    Object.keys(of).filter((name) => !Object.hasOwn(without, name))
  const changed = Object.keys(after).flatMap((name) => {
    const [old, now] = [before[name], after[name]]
    const keys = old && now ? changedKeys(old, now) : []
    return keys.length > 0 ? [{ name, keys }] : []
  })
  return { added: names(after, before), removed: names(before, after), changed }
}

function changedKeys(old: object, now: object): readonly string[] {
  const [a, b] = [asJson(old), asJson(now)]
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter(
    (key) => stableStringify(a[key] ?? null) !== stableStringify(b[key] ?? null),
  )
}

function asJson(value: object): { readonly [key: string]: Json } {
  return JSON.parse(JSON.stringify(value)) as { readonly [key: string]: Json }
}
