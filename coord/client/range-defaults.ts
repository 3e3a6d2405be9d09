/** A range request with everything filled in that a caller may leave out. */
import type { RangeRequest } from '../../proto/gen/rpc.ts'

export const RANGE_DEFAULTS: RangeRequest = {
  key: new Uint8Array(0),
  rangeEnd: new Uint8Array(0),
  limit: 0,
  revision: 0,
  sortOrder: 0,
  sortTarget: 0,
  serializable: false,
  keysOnly: false,
  countOnly: false,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
}
