/** The hakiri.toml of a fresh host, from the flags that `hakiri install` was given. */
import { HakiriError } from '../../lib/error.ts'
import type { CommandInput, OptionSpec } from '../command.ts'
import { NODE_ROWS } from '../coord/settings.ts'
import type { SettingRow } from '../look.ts'
import { WORKER_COORD_ROWS, WORKER_ROWS } from '../serve/settings.ts'
import { PATHS, type Role } from './layout.ts'

type Section = { readonly name: string; readonly rows: readonly SettingRow[] }

const SECTIONS: Readonly<Record<Role, readonly Section[]>> = {
  coord: [{ name: 'coord', rows: NODE_ROWS }],
  worker: [
    { name: 'coord', rows: WORKER_COORD_ROWS },
    { name: 'worker', rows: WORKER_ROWS },
  ],
}

const rowsOf = (role: Role): readonly SettingRow[] =>
  SECTIONS[role].flatMap(({ rows }) => rows).filter(isSettable)

/** Labels are a table in the file; the prefix has no key. */
function isSettable({ name, key }: SettingRow): boolean {
  return key.length > 0 || name === 'labels'
}

/** One flag a setting, whichever role it is of. */
export function settingOptions(roles: readonly Role[]): readonly OptionSpec[] {
  const byName = new Map<string, OptionSpec>()
  for (const role of roles)
    for (const { name, value, summary } of rowsOf(role)) {
      const before = byName.get(name)
      const flags = value === undefined ? `--${name}` : `--${name} ${before ? '<value>' : value}`
      const says = `${role}: ${summary}`
      byName.set(name, { flags, summary: before ? `${before.summary}; ${says}` : says })
    }
  return [...byName.values()]
}

type Options = CommandInput['options']

/** Flags that say something for the file. */
export function givenSettings(options: Options): readonly string[] {
  const names = new Set([...rowsOf('coord'), ...rowsOf('worker')].map(({ name }) => name))
  return [...names].filter((name) => options[optionKey(name)] !== undefined)
}

export function settingsText(role: Role, options: Options, catalog: string | undefined): string {
  const known = new Set(rowsOf(role).map(({ name }) => name))
  const foreign = givenSettings(options).find((name) => !known.has(name))
  if (foreign !== undefined)
    throw new HakiriError('USAGE', `--${foreign} is no setting of a ${role}`, {
      suggestion: `See \`hakiri ${role === 'coord' ? 'coord' : 'serve'} --help\`.`,
    })
  const sections = SECTIONS[role].map((section) => sectionText(section, options))
  const data = role === 'coord' && options['data'] === undefined
  return [
    `# What the services of this host are told. Made once by \`hakiri install ${role}\`, and yours since then.`,
    '# Relative paths start at /var/lib/hakiri. Settings: docs/operating.md.',
    'version = 1',
    ...(catalog === undefined ? [] : ['', '[catalog]', `url = ${JSON.stringify(catalog)}`]),
    ...sections
      .map((text) => (data && text === '' ? '\n[coord]\n' : text))
      .map((text) => text.trimEnd()),
    ...(data ? [`data = ${JSON.stringify(PATHS.coordData)}`] : []),
    '',
  ].join('\n')
}

function sectionText({ name, rows }: Section, options: Options): string {
  const given = rows.filter((row) => isSettable(row) && options[optionKey(row.name)] !== undefined)
  if (given.length === 0) return ''
  const nested = given.filter(({ key }) => key[0] === 'tls')
  const lines = given
    .filter((row) => !nested.includes(row))
    .map(
      (row) => `${row.key[0] ?? row.name} = ${valueText(row, options[optionKey(row.name)] ?? '')}`,
    )
  const tls = nested.map(
    (row) => `${row.key[1]} = ${valueText(row, options[optionKey(row.name)] ?? '')}`,
  )
  return [
    '',
    `[${name}]`,
    ...lines,
    ...(tls.length > 0 ? [`tls = { ${tls.join(', ')} }`] : []),
    '',
  ].join('\n')
}

function valueText({ name, value }: SettingRow, given: string | boolean): string {
  const text = String(given)
  if (value === undefined) return 'true'
  if (value === '<n>' || value === '<port>') return /^\d+$/.test(text) ? text : JSON.stringify(text)
  if (value === '<addresses>') return JSON.stringify(text.split(',').map((one) => one.trim()))
  if (name === 'labels') return labelsText(text)
  return JSON.stringify(text)
}

function labelsText(text: string): string {
  const pairs = text.split(',').map((pair) => pair.split('='))
  return `{ ${pairs.map(([name = '', label = '']) => `${JSON.stringify(name.trim())} = ${JSON.stringify(label.trim())}`).join(', ')} }`
}

function optionKey(name: string): string {
  return name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}
