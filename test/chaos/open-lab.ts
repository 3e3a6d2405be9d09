/** The lab that is asked for, or the best that this machine allows. */
import type { Lab } from './hosts/lab.ts'
import { namespacesMissing, openNamespaces } from './hosts/namespaces.ts'
import { openProxies } from './hosts/proxies.ts'

export type LabKind = Lab['kind']

/** Network namespaces where they can be had; HAKIRI_REQUIRE_NAMESPACES=1 takes nothing less. */
export async function chooseLab(isRequired: boolean, say: (text: string) => void): Promise<LabKind> {
  const missing = await namespacesMissing()
  if (missing === undefined) return 'namespaces'
  if (isRequired) throw new Error(`HAKIRI_REQUIRE_NAMESPACES=1, but ${missing}`)
  say(`hosts stand behind proxies, with fewer faults: ${missing}`)
  return 'proxies'
}

export function openLab(kind: LabKind, seed: number): Promise<Lab> {
  switch (kind) {
    case 'namespaces':
      return openNamespaces({ seed })
    case 'proxies':
      return openProxies({ seed })
  }
}
