/** `hakiri install` and `uninstall`: the service of a role on this host, and away again. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { isSea } from 'node:sea'
import { join, resolve } from 'node:path'
import { HakiriError } from '../../lib/error.ts'
import { embeddedText } from '../artifact/embedded.ts'
import type { CommandInput, CommandOutput, CommandRun } from '../command.ts'
import { checkSettingsText } from '../install/check-settings.ts'
import { carryOut, type Host, type Outcome, thisHost } from '../install/host.ts'
import { PATHS, type Role, ROLES, unitName } from '../install/layout.ts'
import { planInstall, planUninstall } from '../install/plan.ts'
import { givenSettings, settingsText } from '../install/settings-text.ts'

/** `roles`: what the artifact can be. */
export const installOf =
  (roles: readonly Role[]): CommandRun =>
  async ({ args, options, globals }) => {
    const role = roleOf(args[0], roles)
    const host = hostOf(options)
    const dryRun = options['dryRun'] === true
    checkHost(host, dryRun)
    checkOthers(host, roles, role)
    const text = settingsText(role, options, globals.catalog)
    await checkSettings(host, role, options, text)
    const plan = planInstall({
      role,
      program: programFile(),
      unitText: embeddedText(`deploy/systemd/${unitName(role)}`),
      settingsText: text,
      start: options['start'] !== false,
    })
    return output(await carryOut(plan, host, dryRun), dryRun, `${role} installed`)
  }

export const uninstall: CommandRun = async ({ args, options }) => {
  const host = hostOf(options)
  const dryRun = options['dryRun'] === true
  checkHost(host, dryRun)
  const installed = ROLES.filter((role) => hasUnit(host, role))
  const roles = args[0] === undefined ? ROLES : [roleOf(args[0], ROLES)]
  const plan = planUninstall({
    roles,
    isLast: installed.every((role) => roles.includes(role)),
    purge: options['purge'] === true,
  })
  return output(await carryOut(plan, host, dryRun), dryRun, 'uninstalled')
}

function roleOf(word: CommandInput['args'][number], roles: readonly Role[]): Role {
  const role = roles.find((one) => one === word)
  if (role) return role
  const isKnown = ROLES.some((one) => one === word)
  throw new HakiriError(
    'USAGE',
    isKnown ? `this artifact is no ${String(word)}` : `no role ${String(word)}`,
    {
      suggestion: isKnown
        ? 'Take the artifact of the profile full.'
        : `There is ${roles.join(' and ')}.`,
    },
  )
}

function hostOf(options: CommandInput['options']): Host {
  return thisHost(resolve(typeof options['root'] === 'string' ? options['root'] : '/'))
}

function checkHost({ root, isRoot }: Host, dryRun: boolean): void {
  if (dryRun || isRoot || root !== '/') return
  throw new HakiriError('INSTALL_REFUSED', 'installing takes root', {
    suggestion: 'Run it with sudo; --dry-run shows what it does.',
  })
}

/** One program serves all roles of a host, so that it has to be able to be each of them. */
function checkOthers(host: Host, roles: readonly Role[], wanted: Role): void {
  const other = ROLES.find(
    (role) => role !== wanted && !roles.includes(role) && hasUnit(host, role),
  )
  if (other === undefined) return
  throw new HakiriError('INSTALL_REFUSED', `this host is a ${other}, which this artifact is not`, {
    suggestion: 'Take the artifact of the profile full, which is both.',
  })
}

function hasUnit({ root }: Host, role: Role): boolean {
  return existsSync(join(root, PATHS.units, unitName(role)))
}

/** Settings that are there are the operator's; new ones have to be good before anything is changed. */
async function checkSettings(
  { root }: Host,
  role: Role,
  options: CommandInput['options'],
  text: string,
): Promise<void> {
  const path = join(root, PATHS.settings)
  const present = existsSync(path) ? await readFile(path, 'utf8') : undefined
  const given = givenSettings(options)
  if (present !== undefined && present !== text && given.length > 0)
    throw new HakiriError(
      'INSTALL_REFUSED',
      `${PATHS.settings} is there, and --${given[0]} would change it`,
      {
        suggestion: `Write this into it, then install without these flags:\n${text}`,
      },
    )
  if (present === undefined) await checkSettingsText(role, text)
}

function programFile(): string {
  if (isSea()) return process.platform === 'linux' ? '/proc/self/exe' : process.execPath
  throw new HakiriError(
    'INSTALL_REFUSED',
    'this runs from the source, and only an artifact can be installed',
    {
      suggestion: 'Make one with `npm run package`.',
    },
  )
}

function output(outcomes: readonly Outcome[], dryRun: boolean, done: string): CommandOutput {
  const changed = outcomes.filter(({ isChanged }) => isChanged)
  const mark = ({ isChanged }: Outcome): string => (isChanged ? (dryRun ? '+' : '✓') : '=')
  return {
    result: {
      isDryRun: dryRun,
      isChanged: changed.length > 0,
      steps: outcomes.map(({ what, isChanged }) => ({ what, isChanged })),
    },
    text: outcomes.map((outcome) => `  ${mark(outcome)} ${outcome.what}`).join('\n'),
    summary: summaryOf(changed.length, dryRun, done),
  }
}

function summaryOf(changed: number, dryRun: boolean, done: string): string {
  if (changed === 0) return '✓ nothing changed'
  return dryRun
    ? `${changed} step(s) would change this host`
    : `✓ ${done}; ${changed} step(s) changed`
}
