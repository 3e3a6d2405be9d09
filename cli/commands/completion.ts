/** `hakiri completion bash|zsh|fish`: scripts made from the command table. */
import { HakiriError } from '../../lib/error.ts'
import { COMMANDS } from '../commands.ts'
import type { CommandRun } from '../command.ts'

export const completion: CommandRun = async ({ args }, io) => {
  const make = SHELLS[String(args[0])]
  if (!make)
    throw new HakiriError('USAGE', `no completion for ${String(args[0])}`, {
      suggestion: 'There is bash, zsh and fish.',
    })
  const script = make(commandWords())
  io.write(script)
  return { result: { script }, summary: '', written: true }
}

/** "runs" → ["show", "logs"]; "run" → []. Options ride along. */
type Words = ReadonlyMap<
  string,
  { readonly children: readonly string[]; readonly options: readonly string[] }
>

const GLOBAL_OPTIONS = ['--json', '--quiet', '--verbose', '--config', '--catalog', '--help']

function commandWords(): Words {
  const words = new Map<string, { children: string[]; options: string[] }>()
  for (const spec of COMMANDS) {
    const names = spec.usage.split(' ').filter((word) => !/^[<[]/.test(word))
    const [parent, child] = names
    if (parent === undefined) continue
    const entry = words.get(parent) ?? { children: [], options: [...GLOBAL_OPTIONS] }
    if (child !== undefined) entry.children.push(child)
    for (const option of spec.options ?? [])
      entry.options.push(...(option.flags.match(/--[a-z-]+/g) ?? []))
    words.set(parent, entry)
  }
  return words
}

const SHELLS: Readonly<Record<string, (words: Words) => string>> = { bash, zsh, fish }

function bash(words: Words): string {
  const cases = [...words].map(
    ([name, { children, options }]) =>
      `    ${name}) words="${[...children, ...options].join(' ')}" ;;`,
  )
  return [
    '_hakiri() {',
    '  local words="' + [...words.keys(), '--help', '--version'].join(' ') + '"',
    '  case "${COMP_WORDS[1]}" in',
    ...cases.map((line) => line),
    '  esac',
    '  [ "$COMP_CWORD" -eq 1 ] && words="' +
      [...words.keys(), '--help', '--version'].join(' ') +
      '"',
    '  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))',
    '}',
    'complete -o default -F _hakiri hakiri',
    '',
  ].join('\n')
}

function zsh(words: Words): string {
  return `#compdef hakiri\nautoload -U +X bashcompinit && bashcompinit\n${bash(words)}`
}

function fish(words: Words): string {
  const names = [...words.keys()].join(' ')
  const lines = [
    `complete -c hakiri -n "not __fish_seen_subcommand_from ${names}" -f -a "${names}"`,
  ]
  for (const [name, { children, options }] of words) {
    if (children.length > 0)
      lines.push(
        `complete -c hakiri -n "__fish_seen_subcommand_from ${name}" -f -a "${children.join(' ')}"`,
      )
    for (const option of options)
      lines.push(
        `complete -c hakiri -n "__fish_seen_subcommand_from ${name}" -l ${option.slice(2)}`,
      )
  }
  return `${lines.join('\n')}\n`
}
