/** The faults that the S3 stub can be told to show, and the rules for when it shows them. */

export type StubOperation =
  | 'put'
  | 'get'
  | 'head'
  | 'delete'
  | 'list'
  | 'delete-batch'
  | 'begin-upload'
  | 'upload-part'
  | 'complete-upload'
  | 'abort-upload'

export type FaultKind =
  /** 503 SlowDown, 500 InternalError, 403 AccessDenied, 403 RequestTimeTooSkewed, 429, 409. */
  | 'slow-down'
  | 'internal-error'
  | 'forbidden'
  | 'skewed'
  | 'too-many'
  | 'conflict'
  /** The connection is closed half way through the request's body; nothing happens. */
  | 'cut-upload'
  /** The work is done; the connection is closed half way through the answer's body. */
  | 'cut-download'
  /** The work is done; the connection is closed without an answer. */
  | 'lost-answer'
  /** The work is done; the answer says 500. */
  | 'done-but-500'
  /** Nothing happens and no answer comes until the client gives up. */
  | 'hang'
  /** A well-formed answer that holds only half of the XML document. */
  | 'half-document'
  /** Completing an upload says 200 and then, in the body, that it failed. */
  | 'late-error'
  /** A batch deletion that leaves every second key in place and says so. */
  | 'half-deleted'

export type Fault = {
  readonly kind: FaultKind
  /** Share of the matching requests, 0 to 1; all by default. */
  readonly share?: number
  /** Shown so often at the most; for good by default. */
  readonly times?: number
  readonly on?: readonly StubOperation[]
  /** Only keys that contain this. */
  readonly key?: string
}

export type FaultBook = {
  add(fault: Fault): void
  clear(): void
  /** The fault for this request, if there is one; counts it. */
  draw(operation: StubOperation, key: string): FaultKind | undefined
}

/** `random` gives numbers in [0, 1). */
export function createFaultBook(random: () => number): FaultBook {
  let rules: { readonly fault: Fault; left: number }[] = []
  return {
    add: (fault) => void rules.push({ fault, left: fault.times ?? Infinity }),
    clear: () => void (rules = []),
    draw(operation, key) {
      const rule = rules.find(({ fault, left }) => {
        const isMeant = fault.on?.includes(operation) ?? true
        if (left <= 0 || !isMeant || !key.includes(fault.key ?? '')) return false
        return fault.share === undefined || random() < fault.share
      })
      if (rule) rule.left--
      return rule?.fault.kind
    },
  }
}

/** Faults that are a plain refusal: status, code. */
export const REFUSALS: { readonly [kind in FaultKind]?: readonly [number, string] } = {
  'slow-down': [503, 'SlowDown'],
  'internal-error': [500, 'InternalError'],
  forbidden: [403, 'AccessDenied'],
  skewed: [403, 'RequestTimeTooSkewed'],
  'too-many': [429, 'TooManyRequests'],
  conflict: [409, 'ConditionalRequestConflict'],
}
