/** Deletes keys in batches, or one by one on a store that knows no batches. Missing keys are fine. */
import { createHash } from 'node:crypto'
import { HakiriError } from '../../lib/error.ts'
import type { S3Client } from './s3-client.ts'
import { problemError, type Attempted } from './s3-errors.ts'
import type { HttpAnswer } from './s3-http.ts'
import { deleteDocument, parseDeleteProblems, type DeleteProblem } from './s3-xml.ts'

/** S3's limit for one batch. */
const BATCH_KEYS_MAX = 1000
const SINGLES_AT_ONCE = 8
/** How stores say that they have no batch deletion. */
const UNKNOWN_STATUSES = new Set([404, 405, 501])
const UNKNOWN_CODES = new Set(['NotImplemented', 'MethodNotAllowed', 'MalformedXML'])

export type Deleter = { delete(keys: readonly string[]): Promise<void> }

export function createDeleter(client: S3Client): Deleter {
  let hasBatches = true
  return {
    async delete(keys) {
      for (let from = 0; from < keys.length; from += BATCH_KEYS_MAX) {
        const some = keys.slice(from, from + BATCH_KEYS_MAX)
        if (hasBatches) hasBatches = await deleteBatch(client, some)
        if (!hasBatches) await deleteSingly(client, some)
      }
    },
  }
}

/** False when the store does not know batches. A retry sends all keys again: they may be missing. */
async function deleteBatch(client: S3Client, keys: readonly string[]): Promise<boolean> {
  const { prefix } = client.location
  const body = new TextEncoder().encode(deleteDocument(keys.map((key) => prefix + key)))
  const answer = await client.send({
    method: 'POST',
    verb: `delete ${keys.length} objects in`,
    query: { delete: '' },
    headers: { 'content-md5': createHash('md5').update(body).digest('base64') },
    body,
    accept: (status, code) =>
      code !== 'NoSuchBucket' && (UNKNOWN_STATUSES.has(status) || UNKNOWN_CODES.has(code)),
    check: checkBatch,
  })
  return answer.status < 300
}

function checkBatch(answer: HttpAnswer, attempted: Attempted): HakiriError | undefined {
  const problems = parseDeleteProblems(answer.body)
  if (!problems)
    return new HakiriError('STORE_UNREACHABLE', `Cannot ${attempted.what}: the answer is cut short`)
  const failed = problems.filter((problem) => problem.code !== 'NoSuchKey')
  return failed.length === 0 ? undefined : batchError(attempted, answer, failed)
}

/** A lasting problem of one key outweighs passing ones of others: it must not be retried away. */
function batchError(
  attempted: Attempted,
  answer: HttpAnswer,
  failed: readonly DeleteProblem[],
): HakiriError {
  const errors = failed.map((problem) => ({
    problem,
    error: problemError({ ...attempted, what: `delete ${problem.key}` }, problem, answer),
  }))
  const worst = errors.find(({ error }) => error.retry !== 'transient') ?? errors[0]!
  const others = failed.length > 1 ? ` (and ${failed.length - 1} more)` : ''
  return new HakiriError(worst.error.code, worst.error.message + others, {
    ...(worst.error.suggestion && { suggestion: worst.error.suggestion }),
  })
}

async function deleteSingly(client: S3Client, keys: readonly string[]): Promise<void> {
  for (let from = 0; from < keys.length; from += SINGLES_AT_ONCE) {
    const some = keys.slice(from, from + SINGLES_AT_ONCE)
    await Promise.all(
      some.map((key) =>
        client.send({
          method: 'DELETE',
          verb: 'delete',
          key,
          accept: (_status, code) => code === 'NoSuchKey',
        }),
      ),
    )
  }
}
