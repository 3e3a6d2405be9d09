/**
 * How a command finds out a setting: by its flag, else by its variable, else by its key in a section of
 * hakiri.toml. One row a setting; a bad value names the place it stands in.
 */
import { HakiriError } from '../lib/error.ts'
import type { OptionSpec } from './command.ts'
import { parseAddress, type Address } from './coord/address.ts'

export type SettingRow = {
  /** The flag without its dashes. */
  readonly name: string
  /** As the help shows it; undefined: a flag without a value. */
  readonly value: string | undefined
  readonly summary: string
  /** Path of the key below the section; empty: it has none. */
  readonly key: readonly string[]
  readonly variable: string
}

/** Makes the rows of one command, whose variables begin with `prefix`; unless named, a key is called like its flag. */
export function rowMaker(prefix: string) {
  return (
    name: string,
    value: string | undefined,
    summary: string,
    key = name.replaceAll('-', '_'),
  ): SettingRow => ({
    name,
    value,
    summary,
    key: key.split('.').filter((part) => part !== ''),
    variable: `${prefix}${name.toUpperCase().replaceAll('-', '_')}`,
  })
}

export type LookSources = {
  readonly options: { readonly [name: string]: string | boolean | undefined }
  readonly env: { readonly [name: string]: string | undefined }
}

/** A section of hakiri.toml, and the file, if there is one. */
export type LookSection = {
  readonly name: string
  readonly values: unknown
  readonly file: string | undefined
}

export function asOption({ name, value, summary, variable }: SettingRow): OptionSpec {
  return {
    flags: value === undefined ? `--${name}` : `--${name} ${value}`,
    summary: `${summary} (${variable})`,
  }
}

export type Look = {
  text(name: string): string | undefined
  file(name: string): string | undefined
  flag(name: string): boolean
  address(name: string): Address | undefined
  addresses(name: string): readonly Address[]
  parsed(
    name: string,
    parse: (text: string) => number | undefined,
    form: string,
  ): number | undefined
}

type Found = { readonly value: unknown; readonly where: string }

export function createLook(
  rows: readonly SettingRow[],
  sources: LookSources,
  section: LookSection,
): Look {
  const find = (name: string): Found | undefined => {
    const known = rows.find((one) => one.name === name)
    return known && findValue(known, sources, section)
  }
  const text = (name: string): string | undefined => {
    const found = find(name)
    return found && String(found.value)
  }
  return {
    text,
    file: text,
    flag: (name) => isYes(find(name)),
    address: (name) => {
      const found = find(name)
      return found && parseAddress(String(found.value), found.where)
    },
    addresses: (name) => {
      const found = find(name)
      if (!found) return []
      const list = Array.isArray(found.value)
        ? found.value.map(String)
        : String(found.value).split(',')
      return list.filter((one) => one.trim() !== '').map((one) => parseAddress(one, found.where))
    },
    parsed: (name, parse, form) => {
      const found = find(name)
      if (!found) return undefined
      const value = parse(String(found.value))
      if (value === undefined)
        throw usage(`${found.where}: "${String(found.value)}" is not ${form}`, `Write ${form}.`)
      return value
    },
  }
}

function findValue(
  { name, key, variable }: SettingRow,
  { options, env }: LookSources,
  section: LookSection,
): Found | undefined {
  const option = options[name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase())]
  if (option !== undefined) return { value: option, where: `--${name}` }
  const set = env[variable]
  if (set !== undefined && set !== '') return { value: set, where: variable }
  if (key.length === 0) return undefined
  const value = key.reduce<unknown>(
    (inner, part) => (inner as Record<string, unknown> | undefined)?.[part],
    section.values,
  )
  const where = `${section.name}.${key.join('.')} in ${section.file ?? 'hakiri.toml'}`
  return value === undefined ? undefined : { value, where }
}

function isYes(found: Found | undefined): boolean {
  if (!found) return false
  const text = String(found.value)
  if (text === 'true' || text === '1') return true
  if (text === 'false' || text === '0') return false
  throw usage(`${found.where}: "${text}" is neither true nor false`, 'Write true or false.')
}

export function parseCount(text: string): number | undefined {
  return /^[1-9]\d{0,8}$/.test(text.trim()) ? Number(text) : undefined
}

function usage(message: string, suggestion: string): HakiriError {
  return new HakiriError('USAGE', message, { suggestion })
}
