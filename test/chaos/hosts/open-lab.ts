/** Opens the best lab that this machine allows. */
import type { Lab, LabOptions } from './lab.ts'
import { namespacesMissing, openNamespaces } from './namespaces.ts'
import { openProxies } from './proxies.ts'

export type LabChoice = LabOptions & {
  /** Only this kind; else namespaces where they are possible. */
  readonly kind?: Lab['kind']
  /** Is told why there are no namespaces, when proxies take their place. */
  readonly onFallback?: (reason: string) => void
}

/** With HAKIRI_REQUIRE_NAMESPACES=1 nothing takes the place of namespaces. */
export async function openLab(choice: LabChoice): Promise<Lab> {
  if (choice.kind === 'proxies') return openProxies(choice)
  const missing = await requireNamespaces()
  if (missing === undefined) return openNamespaces(choice)
  if (choice.kind === 'namespaces') throw new Error(missing)
  choice.onFallback?.(missing)
  return openProxies(choice)
}

/** Why namespaces cannot be had here; throws the reason where they are required. */
export async function requireNamespaces(): Promise<string | undefined> {
  const missing = await namespacesMissing()
  if (missing !== undefined && process.env['HAKIRI_REQUIRE_NAMESPACES'] === '1')
    throw new Error(`HAKIRI_REQUIRE_NAMESPACES=1, but ${missing}`)
  return missing
}

/** What `--lab=` may say; undefined when it says nothing known. */
export function parseLabKind(text: string): Lab['kind'] | undefined {
  return text === 'namespaces' || text === 'proxies' ? text : undefined
}
