/**
 * What installing and uninstalling consist of: data, in the order in which it is done. Pure; host.ts looks
 * whether a step is done already, and does it.
 */
import { PATHS, type Role, unitName } from './layout.ts'

export type Owner = 'root' | 'hakiri'

type Access = { readonly owner: Owner; readonly group: Owner; readonly mode: number }

export type Step =
  | { readonly kind: 'account' }
  | ({ readonly kind: 'folder'; readonly path: string } & Access)
  /** `existing: keep`: a file that is there stays as it is, but for its access. */
  | ({
      readonly kind: 'file'
      readonly path: string
      readonly text: string
      readonly existing: 'replace' | 'keep'
    } & Access)
  | { readonly kind: 'program'; readonly path: string; readonly source: string }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  /** Enabled, and running what was installed unless `start` is false. */
  | { readonly kind: 'service'; readonly unit: string; readonly start: boolean }
  | { readonly kind: 'stop'; readonly unit: string }
  | { readonly kind: 'remove'; readonly path: string }
  | { readonly kind: 'remove-account' }

export type InstallPlan = {
  readonly role: Role
  /** The file of the program that is to be installed. */
  readonly program: string
  readonly unitText: string
  readonly settingsText: string
  readonly start: boolean
}

const ROOT = { owner: 'root', group: 'root' } as const
const SHARED = { owner: 'root', group: 'hakiri' } as const
const OWN = { owner: 'hakiri', group: 'hakiri' } as const

export function planInstall({ role, program, unitText, settingsText, start }: InstallPlan): Step[] {
  const unit = unitName(role)
  return [
    { kind: 'account' },
    { kind: 'program', path: PATHS.program, source: program },
    { kind: 'folder', path: PATHS.settingsFolder, ...SHARED, mode: 0o750 },
    {
      kind: 'file',
      path: PATHS.settings,
      text: settingsText,
      existing: 'keep',
      ...SHARED,
      mode: 0o640,
    },
    { kind: 'folder', path: PATHS.state, ...OWN, mode: 0o750 },
    { kind: 'link', path: PATHS.settingsLink, target: PATHS.settings },
    {
      kind: 'file',
      path: `${PATHS.units}/${unit}`,
      text: unitText,
      existing: 'replace',
      ...ROOT,
      mode: 0o644,
    },
    { kind: 'service', unit, start },
  ]
}

export type UninstallPlan = {
  readonly roles: readonly Role[]
  /** No role stays, so that the program goes as well. */
  readonly isLast: boolean
  /** Settings, state and account too. */
  readonly purge: boolean
}

export function planUninstall({ roles, isLast, purge }: UninstallPlan): Step[] {
  const remove = (path: string): Step => ({ kind: 'remove', path })
  const units = roles.map(unitName)
  return [
    ...units.flatMap((unit): Step[] => [{ kind: 'stop', unit }, remove(`${PATHS.units}/${unit}`)]),
    ...(isLast ? [remove(PATHS.program), remove(PATHS.cache)] : []),
    ...(isLast && purge
      ? [remove(PATHS.settingsFolder), remove(PATHS.state), { kind: 'remove-account' } as const]
      : []),
  ]
}

/** A step in a person's words. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'account':
      return 'user and group hakiri'
    case 'folder':
    case 'file':
      return `${step.path} (${step.owner}:${step.group} ${step.mode.toString(8).padStart(4, '0')})`
    case 'program':
      return step.path
    case 'link':
      return `${step.path} -> ${step.target}`
    case 'service':
      return `${step.unit}: enabled${step.start ? ' and running' : ''}`
    case 'stop':
      return `${step.unit}: stopped and disabled`
    case 'remove':
      return `${step.path}: removed`
    case 'remove-account':
      return 'user and group hakiri: removed'
  }
}
