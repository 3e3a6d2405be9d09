/**
 * Checks a saved history again: `node test/chaos/history/main.ts FILE`. Prints what is wrong with which
 * round and ends with 1 if anything is.
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { checkRound } from './check.ts'
import { readRounds } from './ndjson.ts'

const [file] = process.argv.slice(2)
if (file === undefined) {
  process.stderr.write('usage: node test/chaos/history/main.ts FILE\n')
  process.exit(2)
}
const rounds = await readRounds(createInterface({ input: createReadStream(file) }))
const problems = rounds.flatMap((round) => checkRound(round))
for (const { round, rule, text, operations } of problems)
  process.stdout.write(`${round}: ${rule}: ${text} (operations ${operations.join(', ')})\n`)
const operations = rounds.reduce((sum, round) => sum + round.operations.length, 0)
process.stdout.write(
  `${rounds.length} rounds, ${operations} operations, ${problems.length} problems\n`,
)
if (problems.length > 0) process.exitCode = 1
