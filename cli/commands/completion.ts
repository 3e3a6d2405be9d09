/** `hakiri completion bash|zsh|fish`: scripts made from the command table. */
import { HakiriError } from '../../lib/error.ts'
import type { CommandRun, CommandSpec } from '../command.ts'

/** The command, over the table that it is itself a row of. */
export const completionOf =
  (commands: readonly CommandSpec[]): CommandRun =>
  async ({ args }, io) => {
    const make = SHELLS[String(args[0])]
    if (!make)
      throw new HakiriError('USAGE', `no completion for ${String(args[0])}`, {
        suggestion: 'There is bash, zsh and fish.',
      })
    const script = make(commandWords(commands))
    io.data(script)
    return { result: { script }, summary: '', written: true }
  }

/** What may follow a word: "runs" → show, logs and the options of all three. */
type Words = ReadonlyMap<
  string,
  { readonly children: readonly string[]; readonly options: readonly string[] }
>

const GLOBALS = ['--json', '--quiet', '--verbose', '--config', '--catalog', '--help']
const FORMATS = ['table', 'json', 'csv', 'parquet']
const SCOPES = ['read', 'operate', 'admin']

function commandWords(commands: readonly CommandSpec[]): Words {
  const words = new Map<string, { children: string[]; options: string[] }>()
  for (const spec of commands) {
    const names = spec.usage.split(' ').filter((word) => !/^[<[]/.test(word))
    const [parent, child] = names
    if (parent === undefined) continue
    const entry = words.get(parent) ?? { children: [], options: [...GLOBALS] }
    if (child !== undefined) entry.children.push(child)
    if (parent === 'completion') entry.children.push(...Object.keys(SHELLS))
    for (const option of spec.options ?? [])
      for (const flag of option.flags.match(/--[a-z-]+/g) ?? [])
        if (!entry.options.includes(flag)) entry.options.push(flag)
    words.set(parent, entry)
  }
  return words
}

const SHELLS: Readonly<Record<string, (words: Words) => string>> = { bash, zsh, fish }

/** The command is the first word that is no option and no value of one; files complete the rest. */
function bash(words: Words): string {
  const cases = [...words].map(
    ([name, { children, options }]) =>
      `    ${name}) words="${options.join(' ')}"; children="${children.join(' ')}" ;;`,
  )
  return `_hakiri() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}"
  local words children command="" at index=1
  COMPREPLY=()
  case "$before" in
    -f|--format) COMPREPLY=($(compgen -W "${FORMATS.join(' ')}" -- "$current")); return ;;
    --scope) COMPREPLY=($(compgen -W "${SCOPES.join(' ')}" -- "$current")); return ;;
    -c|--config|-o|--output) return ;;
  esac
  while [ "$index" -lt "$COMP_CWORD" ]; do
    case "\${COMP_WORDS[index]}" in
      -c|--config|--catalog) index=$((index + 1)) ;;
      -*) ;;
      *) command="\${COMP_WORDS[index]}"; at=$index; break ;;
    esac
    index=$((index + 1))
  done
  case "$command" in
    "") words="${[...GLOBALS, '--version'].join(' ')}"; children="${[...words.keys()].join(' ')}" ;;
${cases.join('\n')}
    *) return ;;
  esac
  [ -n "$command" ] && [ "$COMP_CWORD" -gt $((at + 1)) ] && children=""
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$children" -- "$current")) ;;
  esac
}
complete -o default -F _hakiri hakiri
`
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
    const seen = `complete -c hakiri -n "__fish_seen_subcommand_from ${name}"`
    if (children.length > 0) lines.push(`${seen} -f -a "${children.join(' ')}"`)
    for (const option of options) lines.push(`${seen} -l ${option.slice(2)}`)
  }
  return `${lines.join('\n')}\n`
}
