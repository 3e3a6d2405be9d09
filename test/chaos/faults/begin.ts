/** How each fault of the catalogue begins, and how it is healed. */
import type { FaultKind } from './catalogue.ts'
import { LINKS, type LinkKind } from './links.ts'
import { MACHINES } from './machines.ts'
import { MEMBERS } from './members.ts'
import { PROCESSES } from './processes.ts'
import { SERVICES } from './services.ts'
import type { Begin, Heal, Scene } from './stage.ts'

const OTHERS = { ...MACHINES, ...MEMBERS, ...PROCESSES, ...SERVICES }

const links =
  (kind: LinkKind): Begin =>
  async ({ stage, fault: { number, hosts, degree } }) => {
    await stage.links.write(number, LINKS[kind]({ hosts, degree, troupe: stage.troupe }))
    return () => stage.links.cross(number)
  }

/** The types know it: a kind that nobody begins does not compile. */
function beginOf(kind: FaultKind): Begin {
  return kind in OTHERS
    ? OTHERS[kind as keyof typeof OTHERS]
    : links(kind as Exclude<FaultKind, keyof typeof OTHERS>)
}

export function begin(scene: Scene): Promise<Heal> {
  return beginOf(scene.fault.kind)(scene)
}
